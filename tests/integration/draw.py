"""draw.py FOLDER SEED [FROM=TO]...: pictures of random strokes as FOLDER/SPLIT/CLASS/N.png, with 6, 4 and 4 classes of 6 in
train, val and test, of names that no other seed has; FROM=TO: FOLDER/TO becomes a copy of FOLDER/FROM."""
import os
import random
import shutil
import struct
import sys
import zlib

SIDE = 16


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows):
    """A grey picture of SIDE x SIDE bytes."""
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def picture(generator, shape):
    """A class is a shape of thick dots, which each of its pictures moves a little."""
    rows = [[0] * SIDE for _ in range(SIDE)]
    for x, y in shape:
        x, y = x + generator.randint(-1, 1), y + generator.randint(-1, 1)
        for i in range(max(y, 0), min(y + 2, SIDE)):
            for k in range(max(x, 0), min(x + 2, SIDE)):
                rows[i][k] = generator.randint(180, 255)
    return rows


def main():
    folder, seed, copies = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    generator = random.Random(seed)
    for split, n in (("train", 6), ("val", 4), ("test", 4)):
        for number in range(n):
            place = f"{folder}/{split}/{split}{seed}{number}"
            os.makedirs(place)
            shape = [(generator.randrange(SIDE), generator.randrange(SIDE)) for _ in range(12)]
            for item in range(6):
                with open(f"{place}/{item}.png", "wb") as file:
                    file.write(png(picture(generator, shape)))
    for copy in copies:
        source, target = copy.split("=")
        shutil.copytree(f"{folder}/{source}", f"{folder}/{target}")


if __name__ == "__main__":
    main()
