"""The parts of the rehearsal painter: reading a caption, strokes, shapes, textures, grounds, composition."""
