"""Files on Volumes and in the workspace through the SDK: bytes kept, privileges enforced, pages, refusals."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import (
    AlreadyExists,
    BadRequest,
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType
from databricks.sdk.service.workspace import ImportFormat, Language, ObjectType

from tests.support.databricks import Workspace
from tests.support.databricks_runs import Programs

ANN = "ann@example.com"
NUMBERS = itertools.count()


@dataclass
class Shelf:
    """A volume that an admin owns, and somebody else."""

    server: Workspace
    catalog: str
    root: str

    @property
    def admin(self) -> WorkspaceClient:
        return self.server.sdk()

    @property
    def ann(self) -> WorkspaceClient:
        return self.server.sdk(ANN)

    def let(self, kind: str, name: str, *privileges: Privilege, principal: str = ANN) -> None:
        change = PermissionsChange(principal=principal, add=list(privileges))
        self.admin.grants.update(kind, name, changes=[change])

    def let_in(self) -> None:
        self.let("catalog", self.catalog, Privilege.USE_CATALOG, Privilege.USE_SCHEMA)

    @property
    def volume(self) -> str:
        return f"{self.catalog}.s.v"


@pytest.fixture
def shelf(databricks_uc: Workspace) -> Iterator[Shelf]:
    sdk, name = databricks_uc.sdk(), f"files{next(NUMBERS)}"
    databricks_uc.token(ANN)
    sdk.catalogs.create(name)
    sdk.schemas.create("s", name)
    sdk.volumes.create(name, "s", "v", VolumeType.MANAGED)
    yield Shelf(databricks_uc, name, f"/Volumes/{name}/s/v")
    databricks_uc.calm()


def put(sdk: WorkspaceClient, path: str, content: bytes, *, overwrite: bool | None = None) -> None:
    sdk.files.upload(path, io.BytesIO(content), overwrite=overwrite)


def test_bytes_come_back_as_they_went(shelf: Shelf) -> None:
    content = bytes(range(256)) * 300
    for name in ("a.bin", "deep/er/b c+ü%41.bin", "empty"):
        path = f"{shelf.root}/{name}"
        put(shelf.admin, path, b"" if name == "empty" else content)
        assert shelf.admin.files.download(path).contents.read() == (b"" if name == "empty" else content)
        about = shelf.admin.files.get_metadata(path)
        assert about.content_length == (0 if name == "empty" else len(content))
        assert about.content_type == "application/octet-stream"
        assert about.last_modified.endswith("GMT")


def test_a_range_is_served(shelf: Shelf) -> None:
    put(shelf.admin, f"{shelf.root}/a", b"0123456789")
    headers = {"Authorization": f"Bearer {shelf.server.token('admin')}", "Range": "bytes=4-6"}
    answer = httpx.get(f"{shelf.server.url}/api/2.0/fs/files{shelf.root}/a", headers=headers)
    assert (answer.status_code, answer.content) == (206, b"456")


def test_a_file_is_replaced_only_if_that_was_asked(shelf: Shelf) -> None:
    path = f"{shelf.root}/a"
    put(shelf.admin, path, b"one")
    with pytest.raises(AlreadyExists):
        put(shelf.admin, path, b"two", overwrite=False)
    put(shelf.admin, path, b"three", overwrite=True)
    assert shelf.admin.files.download(path).contents.read() == b"three"


def test_what_is_not_there_is_not_found(shelf: Shelf) -> None:
    for call in (
        shelf.admin.files.download,
        shelf.admin.files.get_metadata,
        shelf.admin.files.delete,
        shelf.admin.files.get_directory_metadata,
        lambda path: list(shelf.admin.files.list_directory_contents(path)),
    ):
        with pytest.raises(NotFound):
            call(f"{shelf.root}/none")
    with pytest.raises(NotFound):
        shelf.admin.files.download("/Volumes/no/such/volume/file")


def test_directories_are_made_listed_in_pages_and_removed_when_empty(shelf: Shelf) -> None:
    sdk = shelf.admin
    sdk.files.create_directory(f"{shelf.root}/d/e")
    sdk.files.create_directory(f"{shelf.root}/d/e")
    for number in range(7):
        put(sdk, f"{shelf.root}/d/{number}", b"x" * number)
    listed = list(sdk.files.list_directory_contents(f"{shelf.root}/d", page_size=3))
    assert [entry.name for entry in listed] == [*map(str, range(7)), "e"]
    assert [entry.file_size for entry in listed][:3] == [0, 1, 2]
    assert listed[-1].is_directory
    assert listed[0].path == f"{shelf.root}/d/0"
    with pytest.raises(BadRequest, match="not empty"):
        sdk.files.delete_directory(f"{shelf.root}/d")
    sdk.files.delete_directory(f"{shelf.root}/d/e")
    sdk.files.delete(f"{shelf.root}/d/0")
    with pytest.raises(NotFound):
        sdk.files.get_directory_metadata(f"{shelf.root}/d/e")


def test_reading_and_writing_want_their_privileges(shelf: Shelf) -> None:
    path = f"{shelf.root}/a"
    put(shelf.admin, path, b"secret")
    with pytest.raises(PermissionDenied, match="USE CATALOG"):
        shelf.ann.files.download(path)
    shelf.let_in()
    with pytest.raises(PermissionDenied, match="READ VOLUME"):
        shelf.ann.files.download(path)
    shelf.let("volume", shelf.volume, Privilege.READ_VOLUME)
    assert shelf.ann.files.download(path).contents.read() == b"secret"
    for change in (
        lambda: put(shelf.ann, path, b"mine"),
        lambda: shelf.ann.files.delete(path),
        lambda: shelf.ann.files.create_directory(f"{shelf.root}/d"),
    ):
        with pytest.raises(PermissionDenied, match="WRITE VOLUME"):
            change()
    shelf.let("volume", shelf.volume, Privilege.WRITE_VOLUME)
    put(shelf.ann, path, b"mine")
    assert shelf.admin.files.download(path).contents.read() == b"mine"


@pytest.mark.parametrize("path", ["/Volumes/a/b", "/Shared/x", "/Volumes/{catalog}/s/v/../../x"])
def test_paths_outside_of_volumes_are_refused(shelf: Shelf, path: str) -> None:
    bearer = {"Authorization": f"Bearer {shelf.server.token('admin')}"}
    with httpx.Client(base_url=f"{shelf.server.url}/api/2.0/fs/files", headers=bearer) as client:
        path = path.format(catalog=shelf.catalog).replace("..", "%2E%2E")
        assert client.get(path).status_code in {400, 404}


def test_an_upload_whose_answer_is_lost_is_there(shelf: Shelf) -> None:
    shelf.server.fail("lost", "/fs/files", "PUT")
    put(shelf.admin, f"{shelf.root}/a", b"once", overwrite=True)
    assert shelf.admin.files.download(f"{shelf.root}/a").contents.read() == b"once"


def test_a_program_sees_its_volumes_mounted_with_its_own_rights(shelf: Shelf) -> None:
    put(shelf.admin, f"{shelf.root}/in/a.json", b'{"n": 1}')
    shelf.let_in()
    shelf.let("volume", shelf.volume, Privilege.READ_VOLUME)
    source = (
        "import json, os, pathlib, sys\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "print(json.loads((root / 'in' / 'a.json').read_text()), os.listdir(root), (root / 'none').exists())\n"
        "try:\n"
        "    (root / 'out').write_text('x')\n"
        "except PermissionError as error:\n"
        "    print('refused', 'WRITE VOLUME' in str(error))\n"
    )
    anns = Programs(shelf.server, ANN)
    assert anns.output(anns.run(source, shelf.root)).logs == "{'n': 1} ['in'] False\nrefused True\n"
    shelf.let("volume", shelf.volume, Privilege.WRITE_VOLUME)
    anns.run(source, shelf.root)
    assert shelf.admin.files.download(f"{shelf.root}/out").contents.read() == b"x"


def test_a_program_reads_workspace_files_its_principal_may_read(databricks_uc: Workspace) -> None:
    anns, eve = Programs(databricks_uc, ANN), Programs(databricks_uc, "eve@example.com")
    path = f"/Users/{ANN}/job.json"
    anns.sdk.workspace.upload(path, io.BytesIO(b"{}"), format=ImportFormat.RAW, overwrite=True)
    source = (
        "import pathlib, sys\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "for act in (path.read_text, lambda: path.write_text('x'), lambda: path.with_name('none').read_text()):\n"
        "    try:\n"
        "        print(act())\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    told = "{}\nPermissionError\nFileNotFoundError\n"
    assert anns.output(anns.run(source, f"/Workspace{path}")).logs == told
    assert eve.output(eve.run(source, f"/Workspace{path}")).logs == "PermissionError\n" * 3
    anns.sdk.workspace.delete(path)
    assert anns.output(anns.run(source, f"/Workspace{path}")).logs.startswith("FileNotFoundError\n")


def test_a_program_is_read_from_a_volume_with_the_rights_of_its_run(shelf: Shelf) -> None:
    put(shelf.admin, f"{shelf.root}/main.py", b"print('from a volume')")
    shelf.let_in()
    anns = Programs(shelf.server, ANN)
    for path in (f"{shelf.root}/main.py", f"dbfs:{shelf.root}/main.py"):
        task = anns.task("print(1)")
        task["spark_python_task"]["python_file"] = path
        run = anns.wait(anns.submit(anns.body(task)))
        assert "does not have READ VOLUME" in run.tasks[0].state.state_message
    shelf.let("volume", shelf.volume, Privilege.READ_VOLUME)
    assert anns.output(anns.wait(anns.submit(anns.body(task)))).logs == "from a volume\n"


def test_workspace_files_and_notebooks_are_different_things(databricks_uc: Workspace) -> None:
    sdk = databricks_uc.sdk()
    sdk.workspace.mkdirs("/Shared/kinds/deep")
    for name, form, language, content in (
        ("raw.py", ImportFormat.RAW, None, b"\x00\r\nprint(1)\r\n"),
        ("auto.py", ImportFormat.AUTO, None, b"print(1)"),
        ("note.py", ImportFormat.AUTO, None, b"# Databricks notebook source\nprint(1)"),
        ("source.py", ImportFormat.SOURCE, Language.PYTHON, b"print(1)"),
    ):
        path = f"/Workspace/Shared/kinds/{name}"
        sdk.workspace.upload(path, io.BytesIO(content), format=form, language=language)
        kept = path.replace("note.py", "note")
        assert sdk.workspace.download(kept).read() == content
    found = {one.path.rpartition("/")[2]: one.object_type for one in sdk.workspace.list("/Shared/kinds")}
    assert found == {
        "deep": ObjectType.DIRECTORY,
        "raw.py": ObjectType.FILE,
        "auto.py": ObjectType.FILE,
        "note": ObjectType.NOTEBOOK,
        "source.py": ObjectType.NOTEBOOK,
    }
    programs = Programs(databricks_uc)
    task = programs.task("print(1)")
    task["spark_python_task"]["python_file"] = "/Shared/kinds/source.py"
    run = programs.wait(programs.submit(programs.body(task)))
    assert "is a notebook, not a file" in run.tasks[0].state.state_message


def test_the_workspace_refuses_as_the_service_does(databricks_uc: Workspace) -> None:
    sdk, anns = databricks_uc.sdk(), databricks_uc.sdk(ANN)
    raw = ImportFormat.RAW
    with pytest.raises(ResourceDoesNotExist, match="parent folder"):
        sdk.workspace.upload("/Shared/no/such/a.py", io.BytesIO(b"1"), format=raw)
    sdk.workspace.upload("/Shared/twice.py", io.BytesIO(b"1"), format=raw)
    with pytest.raises(ResourceAlreadyExists):
        sdk.workspace.upload("/Shared/twice.py", io.BytesIO(b"2"), format=raw)
    sdk.workspace.upload("/Shared/twice.py", io.BytesIO(b"2"), format=raw, overwrite=True)
    anns.workspace.upload(f"/Users/{ANN}/mine.py", io.BytesIO(b"3"), format=raw)
    with pytest.raises(PermissionDenied):
        databricks_uc.sdk("eve@example.com").workspace.download(f"/Users/{ANN}/mine.py")
    with pytest.raises(BadRequest, match="not empty"):
        sdk.workspace.delete(f"/Users/{ANN}")
    with pytest.raises(InvalidParameterValue):
        sdk.workspace.get_status("Shared")
    anns.workspace.delete(f"/Users/{ANN}/mine.py")
    with pytest.raises(ResourceDoesNotExist):
        anns.workspace.get_status(f"/Users/{ANN}/mine.py")
