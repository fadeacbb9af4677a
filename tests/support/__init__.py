"""What the tests run against: a real Collector, AWS stand-ins, an X-Ray daemon."""
