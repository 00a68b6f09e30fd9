# Shared by lock-take and lock-replace; put after the prelude.

check_owner() {
    case $1 in
    '' | *[![:print:]]*) complain 2 "not an owner" ;;
    esac
}

# Stores the token $1, and the lock $2 of the owner $3.
write_lock() {
    echo "$1" | keep "$root/token" || exit
    # The owner first: a lock without one would be nobody's to take again.
    printf '%s\n' "$3" | keep "$root/lock.owner" || exit
    printf '%s\n' "$2" | keep "$root/lock"
}
