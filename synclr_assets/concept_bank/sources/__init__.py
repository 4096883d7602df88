"""The concept sources of the paper (SynCLR 3.4, App. A): class names, what captions call them, their shares.

Names are data files beside this module or timm's metadata; nothing here writes a bucket file.
"""
