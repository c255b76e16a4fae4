"""The /proc sampler: one awk program (POSIX; nothing to install) that prints one line of raw counters a second.

Log:
    #genkai-proc 1 EPOCH UPTIME HZ   a run begins; both clocks were read then
    F uptime NAME …                  names of the values that follow, again whenever the set changes
    S UPTIME VALUE … .               one sample; the point tells a whole line from one that a kill cut short
A day of it is about 60 MB. Sockets are read from /proc/net/tcp as far as the listening ones go, which come first: the
thousands of connections behind them would cost more than everything else.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

TCP_EXT = (
    "SyncookiesSent", "TWKilled", "ListenOverflows", "ListenDrops", "TCPTimeouts", "TCPAbortOnMemory",
    "TCPAbortOnTimeout", "TCPBacklogDrop", "TCPTimeWaitOverflow", "TCPReqQFullDoCookies", "TCPReqQFullDrop",
    "TCPSynRetrans", "TCPLostRetransmit", "TCPMemoryPressures",
)  # fmt: skip
TCP = ("ActiveOpens", "PassiveOpens", "AttemptFails", "EstabResets", "CurrEstab", "InSegs", "OutSegs", "RetransSegs")
MEMORY = ("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree", "Dirty")
PAGING = ("pgmajfault", "pswpin", "pswpout", "oom_kill")

_PROGRAM = r"""
function add(name, value) { names = names " " name; values = values " " value }
function hex(text,   i, number) {
    number = 0
    for (i = 1; i <= length(text); i++) number = number * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
    return number
}
function wanted(list, name) { return index(list, " " name " ") }
function one(file, name) { if ((getline line < file) > 0) add(name, line); close(file) }
function pairs(file, head, list, prefix,   n, i, title, value) {
    while ((getline line < file) > 0) {
        if (index(line, head " ") != 1) continue
        n = split(line, title, " ")
        if ((getline line < file) <= 0) break
        split(line, value, " ")
        for (i = 2; i <= n; i++) if (wanted(list, title[i])) add(prefix title[i], value[i])
        break
    }
    close(file)
}
function cpus() {
    while ((getline < "/proc/stat") > 0) {
        if ($1 ~ /^cpu/) {
            add($1 ".user", $2); add($1 ".nice", $3); add($1 ".system", $4); add($1 ".idle", $5)
            add($1 ".iowait", $6); add($1 ".irq", $7); add($1 ".softirq", $8); add($1 ".steal", $9 + 0 ? $9 : 0)
        } else if ($1 == "ctxt" || $1 == "processes" || $1 == "procs_running" || $1 == "procs_blocked")
            add("stat." $1, $2)
    }
    close("/proc/stat")
}
function memory() {
    while ((getline < "/proc/meminfo") > 0) {
        sub(":", "", $1); if (wanted(MEMORY, $1)) add("mem." $1, $2)
    }
    close("/proc/meminfo")
    while ((getline < "/proc/vmstat") > 0) if (wanted(PAGING, $1)) add("vm." $1, $2)
    close("/proc/vmstat")
}
function disks() {
    while ((getline < "/proc/diskstats") > 0)
        if ($3 ~ /^([shvx]+d[a-z]+|nvme[0-9]+n[0-9]+|dm-[0-9]+|md[0-9]+|mmcblk[0-9]+)$/ && ($4 != 0 || $8 != 0)) {
            add("disk." $3 ".reads", $4); add("disk." $3 ".read_sectors", $6)
            add("disk." $3 ".writes", $8); add("disk." $3 ".written_sectors", $10)
            add("disk." $3 ".busy_ms", $13); add("disk." $3 ".queue_ms", $14)
        }
    close("/proc/diskstats")
}
function network(   at, name, f) {
    while ((getline line < "/proc/net/dev") > 0) {
        at = index(line, ":"); if (!at) continue
        name = substr(line, 1, at - 1); gsub(/[ \t]/, "", name); split(substr(line, at + 1), f, " ")
        if (name ~ /^(veth|br-)/ || (f[2] == 0 && f[10] == 0)) continue
        add("net." name ".rx_bytes", f[1]); add("net." name ".rx_packets", f[2]); add("net." name ".rx_drop", f[4])
        add("net." name ".tx_bytes", f[9]); add("net." name ".tx_packets", f[10]); add("net." name ".tx_drop", f[12])
    }
    close("/proc/net/dev")
    while ((getline < "/proc/net/sockstat") > 0) {
        if ($1 == "sockets:") add("sock.used", $3)
        if ($1 == "TCP:") {
            add("sock.inuse", $3); add("sock.orphan", $5); add("sock.tw", $7); add("sock.alloc", $9)
            add("sock.mem_pages", $11)
        }
    }
    close("/proc/net/sockstat")
    pairs("/proc/net/snmp", "Tcp:", TCP, "tcp."); pairs("/proc/net/netstat", "TcpExt:", TCPEXT, "tcpext.")
    if ((getline < "/proc/sys/net/ipv4/ip_local_port_range") > 0) { add("ports.low", $1); add("ports.high", $2) }
    close("/proc/sys/net/ipv4/ip_local_port_range")
    one("/proc/sys/net/netfilter/nf_conntrack_count", "conntrack.count")
    one("/proc/sys/net/netfilter/nf_conntrack_max", "conntrack.max")
}
function listening(   k, file, n, i, port, order, seen, queue, address, wait) {
    n = 0; split("", seen)
    for (k = 1; k <= 2; k++) {
        file = k == 1 ? "/proc/net/tcp" : "/proc/net/tcp6"
        getline line < file
        while ((getline < file) > 0) {
            if ($4 != "0A") break
            split($2, address, ":"); split($5, wait, ":"); port = hex(address[2])
            if (!(port in seen)) { seen[port] = 1; order[++n] = port; queue[port] = 0 }
            queue[port] += hex(wait[2])
        }
        close(file)
    }
    if (round % 60 == 0) {
        split("", limit); cmd = "ss -ltn 2>/dev/null"
        while ((cmd | getline) > 0) if ($1 == "LISTEN") {
            port = $4; sub(/.*:/, "", port); if ($3 > limit[port] + 0) limit[port] = $3
        }
        close(cmd)
    }
    for (i = 1; i <= n; i++) {
        add("listen." order[i] ".queue", queue[order[i]])
        if (order[i] in limit) add("listen." order[i] ".limit", limit[order[i]])
    }
}
function find_processes(   path, part) {
    count = 0
    while ((FIND | getline path) > 0 && count < 64) {
        split(path, part, "/"); pids[++count] = part[3]; top[part[3]] = 0
        while ((getline < ("/proc/" part[3] "/limits")) > 0) if ($1 $2 $3 == "Maxopenfiles") top[part[3]] = $4
        close("/proc/" part[3] "/limits")
    }
    close(FIND)
}
function count_descriptors(   i, pid, part) {
    split("", open_fds); cmd = "ls /proc/self/task"; pid = 0
    for (i = 1; i <= count; i++) cmd = cmd " /proc/" pids[i] "/fd"
    cmd = cmd " 2>/dev/null"
    while ((cmd | getline line) > 0) {
        if (line ~ /^\/proc\/.*:$/) { split(line, part, "/"); pid = part[3]; open_fds[pid] = 0 }
        else if (line != "") open_fds[pid]++
    }
    close(cmd)
}
function processes(   i, p, name, rest, f) {
    if (round % 10 == 0) find_processes()
    if (round % 5 == 0 && count) count_descriptors()
    for (i = 1; i <= count; i++) {
        file = "/proc/" pids[i] "/stat"
        if ((getline line < file) > 0) {
            match(line, /\(.*\)/); name = substr(line, RSTART + 1, RLENGTH - 2)
            gsub(/[^A-Za-z0-9_.-]/, "_", name); split(substr(line, RSTART + RLENGTH + 1), f, " ")
            p = "process." name "." pids[i]
            add(p ".utime", f[12]); add(p ".stime", f[13]); add(p ".threads", f[18]); add(p ".rss_pages", f[22])
            if (pids[i] in open_fds) { add(p ".fds", open_fds[pids[i]]); add(p ".fds_limit", top[pids[i]] + 0) }
        }
        close(file)
    }
}
function pressure(kind,   file) {
    file = "/proc/pressure/" kind
    if ((getline line < file) > 0) { sub(/.*total=/, "", line); add("pressure." kind, line) }
    close(file)
}
function uptime() { getline < "/proc/uptime"; close("/proc/uptime"); return $1 }
BEGIN {
    FIND = ENVIRON["GENKAI_FIND"]; "date +%s.%N" | getline now; first = uptime()
    "getconf CLK_TCK 2>/dev/null || echo 100" | getline hz
    print "#genkai-proc 1 " now " " first " " hz
    for (round = 0; round < SAMPLES; round++) {
        stamp = uptime(); left = first + round - stamp
        if (left < -1) first = stamp - round
        if (left > 0.02) {
            if (system(sprintf("sleep %.2f 2>/dev/null", left)) != 0) system("sleep 1")
            stamp = uptime()
        }
        names = ""; values = ""
        cpus(); memory(); disks(); network(); listening()
        if (FIND != "") processes()
        if ((getline < "/proc/sys/fs/file-nr") > 0) { add("files.open", $1); add("files.max", $3) }
        close("/proc/sys/fs/file-nr")
        pressure("cpu"); pressure("io"); pressure("memory")
        if (names != last) { print "F uptime" names; last = names }
        print "S " stamp values " ."
        fflush()
    }
}
"""


def proc_command(samples: int, processes: Sequence[str] = ()) -> str:
    """The shell command that prints one sample of /proc a second; processes: names (first 15 characters count)."""
    find = ""
    if processes:
        # -s: processes come and go between the shell's listing and grep's reading
        patterns = " ".join(f"-e {shlex.quote(name[:15])}" for name in processes)
        find = f"grep -slxF {patterns} /proc/[0-9]*/comm"
    lists = {"TCPEXT": TCP_EXT, "TCP": TCP, "MEMORY": MEMORY, "PAGING": PAGING}
    given = " ".join(f"-v {name}={shlex.quote(' ' + ' '.join(words) + ' ')}" for name, words in lists.items())
    program = "\n".join(line.strip() for line in _PROGRAM.strip().splitlines())
    return f"env LC_ALL=C GENKAI_FIND={shlex.quote(find)} awk -v SAMPLES={samples} {given} {shlex.quote(program)}"
