//! Parses, runs, and ends with an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    windlass::cli::main()
}
