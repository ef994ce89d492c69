"""What Setpoint costs, with everything on, next to other gateways: one worker, one core, in the same run.

The gateway has one core; what answers it and what loads it have another. In every round each contestant starts anew, warms
up, is measured and ends, so that whatever else the machine does meets all of them. Linux only: cores are pinned, /proc is read.
"""
