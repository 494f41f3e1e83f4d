//! The `frmdn` program: parse, trace, dispatch, exit code.

fn main() -> std::process::ExitCode {
    frmdn::cli::main()
}
