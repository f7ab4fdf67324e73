import nodey

raise nodey.Error("failed_precondition", "DATABASE_URL is not set")
