//! How Windlass ends: the exit codes, and one error that carries a code, its causes and the next command.
