"""Reads PyTorch state dicts, ``.pt``, ``.pth`` or ``.ckpt``, without running any of their code."""

from pathlib import PurePosixPath

from tfnca.formats.archive import is_zip, refusing, unzip, zip_names
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader
from tfnca.formats.torch_pickle import (
    UnknownNameError,
    arrays_in_old_file,
    arrays_in_zip,
    is_old_format,
)

_ENDINGS = (".pth", ".pt", ".ckpt", ".pkl", ".pickle")
_PROTOCOLS = [bytes([0x80, number]) for number in range(2, 6)]


def _is_pickled(name: str, data: bytes) -> bool:
    if data[:2] in _PROTOCOLS or (name.lower().endswith(_ENDINGS) and not is_zip(data)):
        return True
    return _main(zip_names(data)) is not None


def _main(names: list[str]) -> str | None:
    return next((name for name in names if PurePosixPath(name).name == "data.pkl"), None)


@reader(_is_pickled)
def read(source: Source) -> Models:
    where, data, unknown = source.where, source.data, ""
    files = unzip(where, data, source.budget) if is_zip(data) else {}
    with refusing(where, "PyTorch state dict"):
        try:
            if main := _main(list(files)):
                arrays = arrays_in_zip(files, main, source.budget)
            elif is_old_format(data):
                arrays = arrays_in_old_file(data, source.budget)
            else:
                raise ValueError("it is not a pickle by PyTorch")
        except UnknownNameError as error:
            unknown = str(error)
    if unknown:
        name = PurePosixPath(source.member).name
        raise ValueError(
            f"{where} holds more than a state dict. Nothing else in a pickle is read, because it "
            "could run any code. If you trust the file, these three lines turn it into one that "
            f"loads: import torch; model = torch.load({name!r}, weights_only=False); "
            f"torch.save(model.state_dict(), {PurePosixPath(name).stem + '_state.pt'!r}). "
            f"Received: the name {unknown}"
        )
    return build_foreign(source, arrays)
