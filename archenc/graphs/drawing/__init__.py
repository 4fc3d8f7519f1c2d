"""Pictures of architectures: operations as boxes, coloured by what they are, from the inputs on the left to
the output on the right.
"""

from archenc.graphs.drawing.batch import batch_html as batch_html
from archenc.graphs.drawing.picture import Picture as Picture
from archenc.graphs.drawing.picture import picture as picture
