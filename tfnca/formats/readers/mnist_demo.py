"""Reads ``data.js``: host and adversary of the article's demo page on digits."""

import re

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.formats.archive import decode_base64, refusing
from tfnca.formats.build import build_ca
from tfnca.formats.readers.base import Models, Source, reader


@reader(lambda name, data: re.search(rb"WEIGHTS_B64\s*=\s*\[", data) is not None)
def read(source: Source) -> Models:
    where, text, cas = source.where, source.text, {}
    for ca, variable in (("host", "WEIGHTS_B64"), ("adversary", "ADV_WEIGHTS_B64")):
        start = re.search(rf"\b{variable}\s*=\s*\[", text)
        end = text.find("]", start.end()) if start else -1
        if start is None or end < 0:
            raise ValueError(f"{where} must hold a list {variable}. Received: no complete one")
        tensors = []
        quotes = text[start.end() : end].rstrip().removesuffix(",").split(",")
        for number, quoted in enumerate(quotes):
            name = f"{variable}[{number}]"
            data = decode_base64(where, name, quoted.strip().strip("\"'`"))
            if len(data) % 4:
                raise ValueError(f"{where}: {name} must be float32. Received: {len(data)} bytes")
            tensors.append((name, np.frombuffer(data, "<f4")))
        cas[ca] = build_ca(where, tensors, flat=True)
    with refusing(where, "pair of host and adversary"):
        return {"": Injected(**cas), **cas}
