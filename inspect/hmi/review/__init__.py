"""The review screen for quality engineers: queues, mask editor, escape tracing, charts, jobs, import and export."""
