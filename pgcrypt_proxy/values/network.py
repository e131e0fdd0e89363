"""inet, cidr, macaddr and macaddr8.

Binary form of inet and cidr (network_send): family (2 or 3), prefix length,
whether it is a cidr, length of the address, the address. Input follows
utils/adt/inet_net_pton.c, which reads abbreviated and classful networks.
"""

from __future__ import annotations

import ipaddress
import re

from pgcrypt_proxy.errors import InvalidValue
from pgcrypt_proxy.values.problems import bad_binary, bad_syntax, check_size

_IPV4, _IPV6 = 2, 3
_SIZES = {_IPV4: 4, _IPV6: 16}
_WHITE = " \t\n\r\v\f"


class _Unreadable(Exception):
    """The text is no address."""


def network_in(name: str, text: bytes) -> bytes:
    """The input of inet and cidr, in binary."""
    try:
        word = text.decode("ascii")
        if ":" in word:
            family, (address, bits) = _IPV6, _ipv6(word)
        else:
            family, (address, bits) = _IPV4, _cidr_ipv4(word) if name == "cidr" else _inet_ipv4(word)
    except (UnicodeDecodeError, _Unreadable):
        raise bad_syntax(name) from None
    if name == "cidr" and not _is_network(address, bits):
        raise InvalidValue("invalid cidr value", detail="Value has bits set to right of mask.")
    return bytes([family, bits, name == "cidr", len(address)]) + address


def _is_network(address: bytes, bits: int) -> bool:
    return int.from_bytes(address) & ((1 << (len(address) * 8 - bits)) - 1) == 0


def _prefix(digits: str | None, most: int) -> int | None:
    if digits is None:
        return None
    if len(digits) > 3 or int(digits) > most:
        raise _Unreadable
    return int(digits)


def _inet_ipv4(word: str) -> tuple[bytes, int]:
    """Up to four octets; fewer only with a prefix that they cover."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+){0,3})\.?(?:/([0-9]+))?", word)
    if found is None:
        raise _Unreadable
    octets = [int(part) for part in found.group(1).split(".") if len(part) < 20]
    bits = _prefix(found.group(2), 32)
    if max(octets, default=256) > 255 or len(octets) != found.group(1).count(".") + 1:
        raise _Unreadable
    if (bits is None and len(octets) < 4) or (bits is not None and bits // 8 > len(octets)):
        raise _Unreadable
    return bytes(octets).ljust(4, b"\0"), 32 if bits is None else bits


def _cidr_ipv4(word: str) -> tuple[bytes, int]:
    """Up to four octets, or hexadecimal digits; without a prefix that of the network's class."""
    found = re.fullmatch(r"(?:0[xX]([0-9A-Fa-f]+)|([0-9]+(?:\.[0-9]+){0,3}))(?:/([0-9]+))?", word)
    if found is None or len(word) > 60:
        raise _Unreadable
    hexadecimal, dotted, prefix = found.groups()
    if hexadecimal:
        octets = list(bytes.fromhex(hexadecimal + "0" * (len(hexadecimal) % 2)))
    else:
        octets = [int(part) for part in dotted.split(".")]
    if len(octets) > 4 or max(octets) > 255:
        raise _Unreadable
    bits = _prefix(prefix, 32)
    if bits is None:
        bits = max(_class_bits(octets[0]), len(octets) * 8)
        if bits == 8 and octets[0] == 224:
            bits = 4
    return bytes(octets).ljust(4, b"\0"), bits


def _class_bits(first: int) -> int:
    for least, bits in ((240, 32), (224, 8), (192, 24), (128, 16)):
        if first >= least:
            return bits
    return 8


def _ipv6(word: str) -> tuple[bytes, int]:
    address, slash, prefix = word.partition("/")
    # at most 128, and no leading zeros
    if slash and re.fullmatch(r"0|[1-9][0-9]{0,2}", prefix) is None:
        raise _Unreadable
    bits = _prefix(prefix if slash else None, 128)
    if "%" in address:
        raise _Unreadable
    try:
        return ipaddress.IPv6Address(address).packed, 128 if bits is None else bits
    except ValueError:
        raise _Unreadable from None


def network_recv(name: str, data: bytes) -> bytes:
    """A binary inet or cidr as PostgreSQL would send it. Raises InvalidValue (22P03)."""
    if len(data) < 4 or data[0] not in _SIZES or data[3] != _SIZES[data[0]] or len(data) != 4 + data[3]:
        raise bad_binary(name)
    if data[1] > data[3] * 8 or (name == "cidr" and not _is_network(data[4:], data[1])):
        raise bad_binary(name)
    return data[:2] + bytes([name == "cidr"]) + data[3:]


def network_out(name: str, data: bytes) -> bytes:
    """The output of inet and cidr; a cidr always shows its prefix."""
    family, bits, _, size = network_recv(name, data)[:4]
    address = data[4:]
    text = ".".join(map(str, address)) if family == _IPV4 else _ipv6_text(address)
    return (text + (f"/{bits}" if name == "cidr" or bits != size * 8 else "")).encode()


def _ipv6_text(address: bytes) -> str:
    """The first longest run of two zero groups or more is cut out; some addresses end in the form of IPv4."""
    words = [int.from_bytes(address[at : at + 2]) for at in range(0, 16, 2)]
    start, length = _longest_zeros(words)
    if start == 0 and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        groups = [f"{word:x}" for word in words[:6]] + [".".join(map(str, address[12:]))]
    else:
        groups = [f"{word:x}" for word in words]
    if length < 2:
        return ":".join(groups)
    return ":".join(groups[:start]) + "::" + ":".join(groups[start + length :])


def _longest_zeros(words: list[int]) -> tuple[int, int]:
    best = (0, 0)
    at = 0
    while at < len(words):
        end = at
        while end < len(words) and words[end] == 0:
            end += 1
        if end - at > best[1]:
            best = (at, end - at)
        at = max(end, at + 1)
    return best


def network_key(data: bytes) -> bytes:
    """Equal for the same address and prefix, whether inet or cidr."""
    return data[:2] + data[4:]


def network_cast(target: str, data: bytes) -> bytes:
    """An inet as cidr, without the bits beyond its prefix, or a cidr as inet."""
    size, bits = data[3], data[1]
    address = data[4:]
    if target == "cidr":
        host = (1 << (size * 8 - bits)) - 1
        address = (int.from_bytes(address) & ~host).to_bytes(size)
    return data[:2] + bytes([target == "cidr", size]) + address


_HEX = "[0-9A-Fa-f]"
_MACADDR_NUMBERS = tuple(re.compile(separator.join([rf"\s*({_HEX}+)"] * 6)) for separator in (":", "-"))
#: Two digits to a number; the last number of a group may have one, as sscanf reads it.
_MACADDR_DIGITS = tuple(
    re.compile(separator.join([(rf"({_HEX}{{2}})" * (6 // groups - 1)) + rf"({_HEX}{{1,2}})"] * groups))
    for groups, separator in ((2, ":"), (2, "-"), (3, r"\."), (3, "-"), (1, ""))
)


def macaddr_in(text: bytes) -> bytes:
    """macaddr's input: six numbers with colons or hyphens, or twelve digits in groups."""
    word = text.decode("utf-8", "replace").strip(_WHITE)
    for form in (*_MACADDR_NUMBERS, *_MACADDR_DIGITS):
        found = form.fullmatch(word)
        if found is not None:
            octets = [int(part[-20:], 16) for part in found.groups()]
            if max(octets) > 255:
                raise InvalidValue("invalid octet value in macaddr value", sqlstate="22003")
            return bytes(octets)
    raise bad_syntax("macaddr")


def macaddr8_in(text: bytes) -> bytes:
    """macaddr8's input: six or eight pairs of digits, with one kind of separator or none after each."""
    word = text.decode("utf-8", "replace").strip(_WHITE)
    separators = set(re.findall(r"[:.-]", word))
    found = re.fullmatch(rf"(?:{_HEX}{{2}}[:.-]?){{6}}|(?:{_HEX}{{2}}[:.-]?){{8}}", word)
    if found is None or len(separators) > 1:
        raise bad_syntax("macaddr8")
    return macaddr8_of(bytes.fromhex(re.sub("[:.-]", "", word)))


def macaddr8_of(data: bytes) -> bytes:
    """Six octets as eight: FF FE between the halves."""
    return data if len(data) == 8 else data[:3] + b"\xff\xfe" + data[3:]


def macaddr_of(data: bytes) -> bytes:
    """Eight octets as six. Raises InvalidValue (22003) unless FF FE is between them."""
    if data[3:5] != b"\xff\xfe":
        raise InvalidValue("macaddr8 data out of range to convert to macaddr", sqlstate="22003")
    return data[:3] + data[5:]


def macaddr_recv(name: str, data: bytes) -> bytes:
    """A binary macaddr or macaddr8; the latter may come as six octets."""
    if name == "macaddr8" and len(data) == 6:
        return macaddr8_of(data)
    check_size(name, data, 6 if name == "macaddr" else 8)
    return data


def macaddr_out(data: bytes) -> bytes:
    return ":".join(f"{octet:02x}" for octet in data).encode()
