"""The simulated world, without torch: `simulation` steps many robots, `model` compiles the ballbot of `assets`.

`contacts` corrects the omniwheels' friction axes and, with `terrain_contact`, the ball's contact with the ground.
`terrain` makes the ground, `depth` the cameras' images by ray casting, `renderer` and `opengl` pictures for people.
"""
