"""A task of a dump (mnemo task --dump) as folders of PNG pictures, with Python's own library only:
pictures.py DUMP SUPPORT QUERY [negative | colour]. A class of n pictures is a folder classN."""
import json
import os
import struct
import sys
import zlib


def tensors(path):
    formats = {"F32": "f4", "I32": "i4", "I64": "q8", "F64": "d8"}
    with open(path, "rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    for name, about in head.items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        letter, size = formats[about["dtype"]]
        yield name, (about["shape"], struct.unpack("<%d%s" % ((end - begin) // int(size), letter), data[begin:end]))


def write_png(path, rows, channels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(b"\0" + bytes(row) for row in rows)
    head = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), 8, 2 if channels == 3 else 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def main():
    dump, folders, style = dict(tensors(sys.argv[1])), sys.argv[2:4], sys.argv[4:]
    for role, folder in zip(("support", "query"), folders):
        (n, _, height, width), x = dump[role + ".x"]
        labels = dump[role + ".y"][1]
        for i in range(n):
            rows = []
            for r in range(height):
                begin = (i * height + r) * width
                ink = [min(255, max(0, round(255 * v))) for v in x[begin:begin + width]]
                light = ink if "negative" in style else [255 - v for v in ink]
                rows.append([c for v in light for c in (255, v, v)] if "colour" in style else light)
            place = os.path.join(folder, "class%d" % int(labels[i]))
            os.makedirs(place, exist_ok=True)
            write_png(os.path.join(place, "drawing%02d.png" % i), rows, 3 if "colour" in style else 1)


main()
