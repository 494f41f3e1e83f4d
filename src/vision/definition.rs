//! The VAE as a burn module: the definition, the autodiff reference and the GPU path.
