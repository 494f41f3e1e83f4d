//! frmdn.
fn main() {}
