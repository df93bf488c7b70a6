"""Robotics: what it takes that a policy trained in a simulator works on a robot."""
