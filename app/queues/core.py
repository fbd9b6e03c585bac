"""The six queues every installation has. Modules may declare more."""

from app.queues.spec import Backoff, QueueSpec

AI_CONTENT = QueueSpec("ai:content", attempts=3, backoff=Backoff("exponential", 2), timeout_s=120)
AI_SEO = QueueSpec("ai:seo", attempts=3, backoff=Backoff("exponential", 2), timeout_s=120)
WORKFLOW = QueueSpec("workflow:runtime", attempts=3, backoff=Backoff("exponential", 1), timeout_s=60)
WEBHOOKS = QueueSpec("plugin:webhooks", attempts=10, backoff=Backoff("exponential", 5), timeout_s=30)
ANALYTICS = QueueSpec("analytics:process", attempts=3, backoff=Backoff("fixed", 10), timeout_s=300)
EMAIL = QueueSpec("email:outbound", attempts=5, backoff=Backoff("exponential", 2), timeout_s=60)

CORE_QUEUES = (AI_CONTENT, AI_SEO, WORKFLOW, WEBHOOKS, ANALYTICS, EMAIL)
