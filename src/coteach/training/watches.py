"""Which watch a method gets."""

from __future__ import annotations

from coteach.methods.base import Method
from coteach.methods.detection_teacher import DetectionTeacher
from coteach.methods.label_method import LabelMethod
from coteach.training.alarms import Watch
from coteach.training.teacher_watch import TeacherWatch
from coteach.training.watch import NetworkWatch


def watch_of(method: Method) -> Watch:
    """One for labels, one for a teacher of boxes, and for other methods one that sees nothing."""
    if isinstance(method, LabelMethod):
        return NetworkWatch(method)
    return TeacherWatch(method) if isinstance(method, DetectionTeacher) else Watch()
