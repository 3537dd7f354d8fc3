"""Pickles, such as PyTorch's ``.pth``: never opened, for whatever they say is run."""

from pathlib import PurePosixPath

from tfnca.formats.archive import zip_names
from tfnca.formats.readers.base import Models, Source, reader


def _is_pickled(name: str, data: bytes) -> bool:
    if name.lower().endswith((".pth", ".pt", ".pkl", ".pickle")) or data[:2] in _PROTOCOLS:
        return True
    return any(PurePosixPath(member).name == "data.pkl" for member in zip_names(data))


_PROTOCOLS = [bytes([0x80, number]) for number in range(2, 6)]


@reader(_is_pickled)
def read(source: Source) -> Models:
    name = PurePosixPath(source.member).name
    raise ValueError(
        f"{source.where} is a pickle, which may run anything, so it is never opened. If you trust "
        "it, these three lines of Python turn it into a file that loads: "
        "import torch, safetensors.torch; "
        f"state = torch.load({name!r}, weights_only=True); "
        f"safetensors.torch.save_file(state, {PurePosixPath(name).stem + '.safetensors'!r}). "
        f"Received: {name}"
    )
