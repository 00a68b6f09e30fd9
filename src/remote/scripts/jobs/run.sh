# Job: a command of the operator's playbook.
# Arguments: the program and its arguments.
# Exit: the program's.
main() {
    "$@"
}
main "$@" </dev/null
