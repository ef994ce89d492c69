"""Which parameters a request gets: Context in, a Decision out; and how the arms of a policy learn."""
