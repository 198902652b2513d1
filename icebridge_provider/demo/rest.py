"""Airflow's REST API as a person with a browser or curl would use it."""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

FINAL = {"success", "failed"}
NOTICED = timedelta(seconds=10)
_ATTEMPTS = 10
_CONFLICT, _SERVER_ERROR = 409, 500


class AirflowClient:
    """One user's session with an API server.

    :param url: where it answers, without a path.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        answer = self._send("POST", "/auth/token", {"username": user, "password": password}, token="")
        self._token = str(answer["access_token"])

    def get(self, path: str) -> dict[str, Any]:
        """GET a path below ``/api/v2``."""
        return self._send("GET", f"/api/v2{path}", None, self._token)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST JSON to a path below ``/api/v2``."""
        return self._send("POST", f"/api/v2{path}", body, self._token)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """PATCH a path below ``/api/v2`` with JSON."""
        return self._send("PATCH", f"/api/v2{path}", body, self._token)

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a DAG run and return its id.

        The id is ours, so that a request whose outcome is unknown can be sent again.
        """
        run_id = f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        self._until_taken("POST", f"/dags/{dag_id}/dagRuns", body)
        return run_id

    def clear(self, dag_id: str, run_id: str) -> None:
        """Have all tasks of a run done again, under the same run id."""
        self._until_taken("POST", f"/dags/{dag_id}/dagRuns/{_quote(run_id)}/clear", {"dry_run": False})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """State of a DAG run."""
        return str(self.get(f"/dags/{dag_id}/dagRuns/{_quote(run_id)}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        found = self.get(f"/dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances?limit=500")
        return list(found["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        place = f"/dags/{dag_id}/dagRuns/{_quote(run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        return self.get(f"{place}?deserialize=true")["value"]

    def plugin(self, path: str) -> Any:
        """GET a path of a plugin's own, from the server's root."""
        return self._answer("GET", path, None, self._token)

    def has_dag(self, dag_id: str) -> bool:
        """Whether the DAG processor has brought the DAG in."""
        try:
            self.get(f"/dags/{dag_id}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise
        return True

    def wait_for_dags(self, *dags: str, seconds: float = 120) -> None:
        """Wait until the DAG processor has brought the DAGs in.

        :raises TimeoutError: after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not all(map(self.has_dag, dags)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow did not find the DAGs {', '.join(dags)}")
            time.sleep(0.5)

    def approvals(self) -> list[dict[str, Any]]:
        """Questions that have waited for a person for a few seconds.

        A task that is answered before the scheduler has noticed that it waits is taken for a dead one and starts over
        (apache/airflow issue 67287). Supervisors of tasks look every 5 s.
        """
        found = self.get("/dags/~/dagRuns/~/hitlDetails?response_received=false&limit=100")
        latest = datetime.now(UTC) - NOTICED
        return [item for item in found["hitl_details"] if datetime.fromisoformat(item["created_at"]) < latest]

    def answer(self, question: Mapping[str, Any], option: str, values: Mapping[str, Any]) -> None:
        """Choose an option of a question and fill in its form."""
        task = question["task_instance"]
        path = (
            f"/dags/{task['dag_id']}/dagRuns/{_quote(task['dag_run_id'])}"
            f"/taskInstances/{task['task_id']}/{task['map_index']}/hitlDetails"
        )
        self._until_taken("PATCH", path, {"chosen_options": [option], "params_input": dict(values)})

    def watch(self, dag_id: str, run_id: str, seconds: float = 900) -> Iterator[str]:
        """Yield the run's state about once a second until it is final.

        :raises TimeoutError: after ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = self.run_state(dag_id, run_id)
            yield state
            if state in FINAL:
                return
            time.sleep(1)
        raise TimeoutError(f"{dag_id} {run_id} was not over after {seconds:.0f} s")

    def _until_taken(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """Send until the server has taken it; on SQLite Airflow answers 500 while another component writes.

        A conflict tells that an earlier attempt was taken after all.
        """
        for attempt in range(_ATTEMPTS):
            try:
                self._send(method, f"/api/v2{path}", body, self._token)
            except urllib.error.HTTPError as error:
                if error.code == _CONFLICT and attempt:
                    return
                if error.code < _SERVER_ERROR or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(1)
            else:
                return

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, token: str) -> dict[str, Any]:
        return dict(self._answer(method, path, body, token))

    def _answer(self, method: str, path: str, body: Mapping[str, Any] | None, token: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - caller's server
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return json.load(answer)


def _quote(text: str) -> str:
    return urllib.parse.quote(text, safe="")
