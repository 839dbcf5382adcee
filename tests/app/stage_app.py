"""A page with only a stage, for tests of the stage."""

import streamlit as st

from tests.fake_pipeline import FakeRequest
from ui.controls import build, control
from ui.page import close_page, open_page
from ui.result import picture
from ui.stage import estimate, stage

open_page("Stage", "A stage.")
seed = control(FakeRequest, "seed")
scheduler = control(FakeRequest, "scheduler")
guidance = control(FakeRequest, "guidance_scale")
prompt = control(FakeRequest, "prompt")
wait = st.checkbox("wait", key="wait")
fail = st.checkbox("fail", key="fail")
request = build(
    FakeRequest, seed=seed, guidance_scale=guidance, scheduler=scheduler, prompt=prompt, wait=wait, fail=fail
)
estimate(request)
result = stage(request, lambda r: picture(r.images, "noise"), auto=not st.session_state.get("manual", False))
if result is not None:
    st.write(f"seed on stage: {result.seeds}")
close_page()
