# Cleans up after a test process, however it ended: runs apart from it, waits for the end of standard input (the test
# process holds the other end of that pipe and the kernel closes it), then ends what is left and removes the run folder.
# Arguments: run folder, mark of the run, `keep` to leave the folder.
folder=$1 mark=$2 keep=$3
trap '' INT TERM HUP QUIT
cat >/dev/null

kill_tree() {
    kill -STOP "$1" 2>/dev/null
    for stat in /proc/[0-9]*/stat; do
        line=$(cat "$stat" 2>/dev/null) || continue
        # shellcheck disable=SC2086
        set -- "$1" ${line##*) }
        [ "${3:-}" = "$1" ] && { child=${stat#/proc/}; (kill_tree "${child%/stat}"); }
        set -- "$1"
    done
    kill -KILL "$1" 2>/dev/null
}

# The roots, by pid and start time: a pid alone might have been given to somebody else.
for file in "$folder"/*/testbed.pid; do
    [ -r "$file" ] || continue
    read -r pid started <"$file" || continue
    line=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    # shellcheck disable=SC2086
    set -- ${line##*) }
    [ "${20}" = "$started" ] && kill_tree "$pid"
done
# Orphans, by the mark in their environment.
for environ in $(grep -lsz "^HOLDFAST_TESTBED=$mark\." /proc/[0-9]*/environ); do
    pid=${environ#/proc/}
    kill -KILL "${pid%/environ}" 2>/dev/null
done
# A killed PostgreSQL leaves its System V interlock segment; its number is the second word of line 7.
for file in "$folder"/*/data/postmaster.pid; do
    [ -r "$file" ] || continue
    segment=$(sed -n '7s/^ *[0-9]* *//p' "$file")
    [ -n "$segment" ] && ipcrm -m "$segment" 2>/dev/null
done
for disk in "$folder"/disk-*/mount; do
    [ -d "$disk" ] && umount --lazy "$disk" 2>/dev/null
done
[ "$keep" = keep ] && exit 0
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$folder" 2>/dev/null && exit 0
    sleep 0.2
done
