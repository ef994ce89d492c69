"""What can go wrong with the classifier.

ClassifierError
├── ArtefactError    an artefact cannot be read or is not one; keyword rules stand in
├── TasksError       a task file does not say what it must
├── CorpusError      a labelled row is bad; the message names file and line
├── OutError         an artefact cannot be written there
├── PlotError        plots cannot be drawn; the message says what to install
└── WorseError       a new model would be worse than the one it comes from
"""


class ClassifierError(Exception):
    """Root of everything that this package raises on purpose."""


class ArtefactError(ClassifierError):
    """Raised when a trained model cannot be loaded."""


class TasksError(ClassifierError):
    """Raised when a task file is not one."""


class CorpusError(ClassifierError):
    """Raised when labelled data cannot be used."""


class OutError(ClassifierError):
    """Raised when an artefact cannot be written where it is wanted."""


class PlotError(ClassifierError):
    """Raised when plots cannot be drawn, or not there."""


class WorseError(ClassifierError):
    """Raised when what was learned would cost more than it may."""
