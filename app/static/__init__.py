"""The dashboard's own style sheets and scripts, and the step that prepares what the browser is sent."""
