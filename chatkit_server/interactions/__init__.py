"""What the user does besides writing: actions of widgets, answers, approvals, tools of the page."""
