#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a sealed message: open.py KEYRING CHANNEL < envelope > body (needs python3-cryptography)."""
import hmac
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand


def expand(key, info, size):
    return HKDFExpand(SHA256(), size, info).derive(key)


def channel_key(keyring, channel, key_id):
    for state, found, _, scope, key, *_ in map(str.split, keyring.splitlines()[1:-1]):
        if found == key_id.hex() and scope in ("-", f"channel:{channel}"):
            if state == "retired":
                sys.exit("open.py: the key was retired")
            name = channel.encode()
            info = b"sealq/1 channel\0" + struct.pack(">H", len(name)) + name
            return bytes.fromhex(key) if scope != "-" else expand(bytes.fromhex(key), info, 32)
    sys.exit("open.py: no such key in the keyring")


envelope = sys.stdin.buffer.read()
kind, flags, zero = envelope[4:5], envelope[5:6], envelope[7:8]
if len(envelope) < 144 or envelope[:5] != b"SQE\1\1" or flags not in (b"\0", b"\1") or \
        zero != b"\0" or int.from_bytes(envelope[116:120], "big") != len(envelope) - 120:
    sys.exit("open.py: malformed")
key = channel_key(open(sys.argv[1]).read(), sys.argv[2], envelope[8:16])
session = expand(key, b"sealq/1 session\0" + kind + envelope[8:40], 64)
try:
    if not hmac.compare_digest(session[32:], envelope[84:116]):
        raise InvalidTag
    plain = AESGCM(session[:32]).decrypt(envelope[40:52], envelope[120:], envelope[:120])
except InvalidTag:
    sys.exit("open.py: forged, altered, or sealed for another channel")
headers, body = struct.unpack(">II", plain[:8])
if 8 + headers + body > len(plain) or (flags == b"\0" and 8 + headers + body < len(plain)) or \
        any(plain[8 + headers + body:]):
    sys.exit("open.py: malformed")
sys.stdout.buffer.write(plain[8 + headers:8 + headers + body])
