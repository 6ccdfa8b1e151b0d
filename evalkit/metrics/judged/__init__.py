"""Numbers that a vision-language model gives: a judge behind an OpenAI-compatible address."""
