"""What may be done with schedules."""

from app.core.policy import Permission

READ = Permission("schedules:read", "See schedules and their runs")
MANAGE = Permission("schedules:manage", "Change, pause, resume and run schedules")

ALL = (READ, MANAGE)
