"""What the engineers see in Gradio: the operator's board as it stands at the line, the audit, and the way to the review."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from linegate.inspect.partlog.audit import entries, verify
from linegate.inspect.partlog.queries import Reading

if TYPE_CHECKING:
    from linegate.inspect.hmi.context import Screens

BOARD = """
const root = element.querySelector('.linegate-board');
import('/static/board/main.js').then((board) => board.mount(root));
"""
REVIEW = """
const root = element.querySelector('.linegate-review');
import('/static/review/main.js').then((review) => review.mount(root));
"""
AUDIT_ROWS = 200


def build_gradio(screens: Screens, path: str) -> FastAPI:
    """An app with Gradio mounted at ``path``. Imports Gradio: seconds, and no network (analytics and web fonts are off)."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gradio as gr

    fonts = ["Noto Sans", "Noto Sans CJK SC", "system-ui", "sans-serif"]
    theme = gr.themes.Base(font=fonts, font_mono=["monospace"])
    with gr.Blocks(title="Linegate", analytics_enabled=False, fill_width=True) as blocks:
        with gr.Tab("Line"):
            gr.HTML(
                '<div class="linegate-board" style="width:100%;height:min(62.5vw, calc(100vh - 90px))"></div>',
                js_on_load=BOARD,
                apply_default_css=False,
            )
        with gr.Tab("Audit"):
            found = gr.Markdown()
            rows = gr.Dataframe(headers=["#", "time (UTC)", "who", "role", "action", "subject", "detail"], wrap=True)
            check = gr.Button("Read and verify the audit")
            check.click(lambda: _audit(screens), outputs=[found, rows], api_visibility="private")
        with gr.Tab("Review"):
            gr.HTML(
                '<a href="/review">Open the review screen on a page of its own</a>'
                '<div class="linegate-review" style="height:calc(100vh - 130px);min-height:600px"></div>',
                js_on_load=REVIEW,
                apply_default_css=False,
            )
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(
        app,
        blocks,
        path=path,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=True,
        theme=theme,
    )
    return app


def _audit(screens: Screens) -> tuple[str, list[list[Any]]]:
    with Reading(screens.reader) as connection:
        report, latest = verify(connection), entries(connection, AUDIT_ROWS)
    words = "; ".join(report.problems) or f"The chain of {report.count} rows is whole. Head: `{report.head}`"
    table = [
        [
            entry.id,
            datetime.fromtimestamp(entry.at_utc_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            entry.by,
            entry.role,
            entry.action,
            entry.subject,
            entry.detail,
        ]
        for entry in latest
    ]
    return words, table
