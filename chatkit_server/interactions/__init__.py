"""What a user does besides writing messages: widget actions, forms, client tools, answers to questions, approvals."""
