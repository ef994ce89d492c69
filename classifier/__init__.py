"""What a prompt asks for: text in, a Verdict (task and confidence) out."""
