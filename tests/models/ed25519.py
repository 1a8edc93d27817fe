"""Ed25519 verification as RFC 8032, 5.1.7, says it: slow, plain, and nobody else's code."""
import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        raise ValueError("no point")
    return P - x if x % 2 != sign else x


def point(encoded):
    n = int.from_bytes(encoded, "little")
    y = n & (2**255 - 1)
    return recover_x(y, n >> 255), y


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P)


def times(k, a):
    out = (0, 1)
    for bit in bin(k)[2:]:
        out = add(out, out)
        if bit == "1":
            out = add(out, a)
    return out


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def verify(public, message, signature):
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return times(s, BASE) == add(point(signature[:32]), times(k, point(public)))


# RFC 8032, 7.1, test 2: this file is right about one signature that it did not make.
assert verify(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"), b"\x72", bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"))


def encode(a):
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


def sign(secret, message):
    """The signature, and the public key, of RFC 8032's 32 secret bytes."""
    h = hashlib.sha512(secret).digest()
    scalar = int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254
    public = encode(times(scalar, BASE))
    r = int.from_bytes(hashlib.sha512(h[32:] + message).digest(), "little") % L
    point_r = encode(times(r, BASE))
    k = int.from_bytes(hashlib.sha512(point_r + public + message).digest(), "little") % L
    return point_r + ((r + k * scalar) % L).to_bytes(32, "little"), public
