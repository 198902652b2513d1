"""Certify, ask a person, cut over."""

from __future__ import annotations

from airflow.sdk import DAG

from icebridge_provider.operators.approval import ApproveCutOverOperator
from icebridge_provider.operators.certify import CertifyOperator
from icebridge_provider.operators.tables import CutOverOperator

with DAG("example_icebridge_cut_over", schedule=None, tags=["icebridge", "example"]):
    certify = CertifyOperator(task_id="certify", plan_id="sales-to-gold")
    approve = ApproveCutOverOperator(task_id="approve", plan_id="sales-to-gold", certificate=certify.output)
    CutOverOperator(task_id="cut_over", plan_id="sales-to-gold", certificate=certify.output, approval=approve.output)
