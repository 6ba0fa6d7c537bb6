"""own_pictures.py FOLDER: small collections of pictures in all the forms in which people have them, good ones and bad
ones, made by Python's own library alone, that is by other code than what reads them."""
import bz2
import gzip
import io
import json
import os
import random
import struct
import sys
import tarfile
import zipfile
import zlib

CLASSES, EACH, SIDE = "abcdef", 6, 12


def png(seed):
    """A grey PNG of a dark rim and noise within."""
    rng = random.Random(seed)
    rows = b""
    for y in range(SIDE):
        inside = 2 <= y < SIDE - 2
        rows += b"\0" + bytes(rng.randrange(256) if inside and 2 <= x < SIDE - 2 else 0 for x in range(SIDE))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PICTURES = {f"{c}/{i}.png": png(100 * n + i) for n, c in enumerate(CLASSES) for i in range(EACH)}


def write(path, data):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def zipped(path, rename=lambda name: name, extra=None):
    """A zip without entries for folders."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in [(rename(n), d) for n, d in PICTURES.items()] + list((extra or {}).items()):
            info = zipfile.ZipInfo("x")
            info.filename = name  # as it is: ZipInfo() would change back-slashes
            file.writestr(info, data)


def tarred(path, mode):
    with tarfile.open(path, mode) as file:
        for name, data in PICTURES.items():
            info = tarfile.TarInfo("own/" + name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("own/a/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)


def npy(kind, shape, data, fortran=False):
    text = repr({"descr": kind, "fortran_order": fortran, "shape": tuple(shape)}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def archives():
    for name, data in PICTURES.items():
        write("dir/" + name, data)
    zipped("plain.zip")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("a/1.png", png(1))
    zipped("top.zip", lambda name: "data/my set/" + name, {
        "__MACOSX/data/my set/a/._0.png": b"x", "data/my set/a/._0.png": b"x", "data/my set/a/@eaDir/0.png": b"x",
        "data/my set/Thumbs.db": b"x", "data/my set/.DS_Store": b"x", "data/my set/more.zip": inner.getvalue(),
        "data/my set/README.txt": b"x", "data/my set/a/0.gif": b"GIF8"})
    zipped("back.zip", lambda name: "data\\" + name.replace("/", "\\"))
    zipped("split.zip", lambda name: "d/" + ("train/" if name[0] < "d" else "test/") + name)
    zipped("evil.zip", extra={"../../evil.png": png(1), "a/../../b/evil.png": png(2), "/a/absolute.png": png(3)})
    for end, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")):
        tarred("own." + end, mode)
    write("cut.tar.gz", open("own.tar.gz", "rb").read()[:3000])
    write("cut.zip", open("plain.zip", "rb").read()[:3000])
    data = bytearray(open("plain.zip", "rb").read())
    data[60] ^= 255  # in the first picture
    write("crc.zip", bytes(data))
    zeros = gzip.compress(bytes(1 << 24), 9)  # again and again, as one may in a gzip file
    for name, count in (("bomb", 1), ("bombs", 20)):
        parts = []
        for i in range(count):
            info = tarfile.TarInfo(f"a/{i}.txt")
            info.size = (64 if count == 1 else 2) << 24
            parts += [gzip.compress(info.tobuf())] + [zeros] * (info.size >> 24)
        write(name + ".tar.gz", b"".join(parts))
    damaged = dict(PICTURES)
    with zipfile.ZipFile("damaged.zip", "w") as file:
        for name, data in damaged.items():
            file.writestr(name, data[:50] if name in ("b/3.png", "c/4.png") else data)


def arrays():
    rng = random.Random(0)
    n, h, w = 30, 9, 7
    x = bytes(rng.randrange(256) for _ in range(n * h * w))
    y = [i % 5 for i in range(n)]
    colour = bytes(rng.randrange(256) for _ in range(n * h * w * 3))
    planes = b"".join(colour[i * h * w * 3 + c:(i + 1) * h * w * 3:3] for i in range(n) for c in range(3))
    unit = [v / 255 for v in x]
    labels = npy("<i8", [n], struct.pack(f"<{n}q", *y))
    files = {
        "X.npy": npy("|u1", [n, h, w], x), "Y.npy": labels,
        "i64.npy": npy("<i8", [n, h, w], struct.pack(f"<{len(x)}q", *x)),
        "f32.npy": npy("<f4", [n, h, w], struct.pack(f"<{len(x)}f", *unit)),
        "f16.npy": npy("<f2", [n, h, w], struct.pack(f"<{len(x)}e", *unit)),
        "f64be.npy": npy(">f8", [n, h, w, 1], struct.pack(f">{len(x)}d", *unit)),
        "last.npy": npy("|u1", [n, h, w, 3], colour), "first.npy": npy("|u1", [n, 3, h, w], planes),
        "nan.npy": npy("<f4", [n, h, w], struct.pack(f"<{len(x)}f", *unit[:200], float("nan"), *unit[201:])),
        "255.npy": npy("<f4", [n, h, w], struct.pack(f"<{len(x)}f", *x)),
        "i16.npy": npy("<i2", [n, h, w], struct.pack(f"<{len(x)}h", *[v - 1 for v in x])),
        "minus.npy": npy("<i4", [n], struct.pack(f"<{n}i", *[v - 1 for v in y])),
        "onehot.npy": npy("|u1", [n, 5], bytes(int(j == v) for v in y for j in range(5))),
        "real.npy": npy("<f4", [n], struct.pack(f"<{n}f", *y)),
        "y29.npy": npy("|i1", [n - 1], bytes(y[1:])), "flat.npy": npy("|u1", [n, h * w], x),
        "five.npy": npy("|u1", [n, h, w, 1, 1], x), "four.npy": npy("|u1", [n, h, w // 7, 7], x),
        "fortran.npy": npy("|u1", [n, h, w], x, True), "object.npy": npy("|O", [n], b"pickle"),
        "cut.npy": npy("|u1", [n, h, w], x[:-100]), "header.npy": npy("|u1", [n, h, w], x)[:40],
        "huge.npy": npy("|u1", [1 << 40, 1 << 40, 1 << 40], x), "many.npy": npy("|u1", [1 << 40, h, w], x),
        "none.npy": npy("|u1", [0, h, w], b""), "empty.npy": b"", "text.npy": b"x,y\n1,2\n",
        "bool.npy": npy("|b1", [n, h, w], bytes(v & 1 for v in x)),
        "images.idx": bytes([0, 0, 8, 3]) + struct.pack(">III", n, h, w) + x,
        "labels.idx": bytes([0, 0, 8, 1]) + struct.pack(">I", n) + bytes(y),
        "cut.idx": bytes([0, 0, 8, 3]) + struct.pack(">III", n, h, w) + x[:-1],
        "side.idx": bytes([0, 0, 8, 3]) + struct.pack(">III", n, w, h)
        + b"".join(x[i * h * w + r * w + c:i * h * w + r * w + c + 1] for i in range(n) for c in range(w) for r in range(h)),
        "odd.idx": bytes([0, 0, 10, 3]) + struct.pack(">III", n, h, w) + x,
    }
    files["X.npy.gz"] = gzip.compress(files["X.npy"])
    files["images.idx.bz2"] = bz2.compress(files["images.idx"])
    half = n // 2 * h * w
    with zipfile.ZipFile("one.npz", "w") as file:
        file.writestr("labels.npy", labels)
        file.writestr("names.npy", npy("<U3", [5], b"x" * 60))
        file.writestr("images.npy", files["X.npy"])
    with zipfile.ZipFile("two.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name, data, of in (("train", x[:half], y[:n // 2]), ("test", x[half:], y[n // 2:])):
            file.writestr(f"x_{name}.npy", npy("|u1", [n // 2, h, w], data))
            file.writestr(f"y_{name}.npy", npy("|u1", [n // 2], bytes(of)))
    header = json.dumps({"__metadata__": {"a": "b"},
                         "y": {"dtype": "I64", "shape": [n], "data_offsets": [len(x), len(x) + 8 * n]},
                         "x": {"dtype": "U8", "shape": [n, h, w], "data_offsets": [0, len(x)]}}).encode()
    files["both.safetensors"] = struct.pack("<Q", len(header)) + header + x + struct.pack(f"<{n}q", *y)
    files["cut.safetensors"] = files["both.safetensors"][:-60]
    for name, data in files.items():
        write(name, data)


def cifar():
    rng = random.Random(2)
    images = [bytes(rng.randrange(256) for _ in range(3072)) for _ in range(20)]
    ten = b"".join(bytes([i % 10]) + image for i, image in enumerate(images))
    hundred = b"".join(bytes([i % 10 // 5, 90 + i % 10]) + image for i, image in enumerate(images))
    write("ten.bin", ten)
    write("hundred.bin", hundred)
    write("hundred.bin.gz", gzip.compress(hundred))
    write("cut.bin", ten[:-5])
    write("labels.bin", b"\x4d" + ten[1:])
    write("names.txt", b"".join(b"class %d\r\n" % i for i in range(10)) + b"\r\n")
    write("few.txt", b"zero\none\n")
    write("twice.txt", b"zero\nzero\n")
    write("gap.txt", b"zero\n\ntwo\n")
    write("table.tsv", b"fine_id\tfine\tcoarse\n" + b"".join(b"%d\tf%d\tgroup %d\n" % (i, i, i % 2) for i in range(100)))
    write("badtable.tsv", b"fine_id\tfine\nx\ty\n")
    write("header.tsv", b"a\tb\n0\tx\n")


if __name__ == "__main__":
    os.makedirs(sys.argv[1], exist_ok=True)
    os.chdir(sys.argv[1])
    archives()
    arrays()
    cifar()
