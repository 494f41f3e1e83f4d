//! Car-Racing: a native port of Gymnasium CarRacing-v3.
