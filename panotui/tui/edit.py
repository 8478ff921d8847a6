"""A line editor, shared by the filter and the command line.

Keys in, text and cursor out; no widget, no terminal.
"""

from __future__ import annotations

from msgspec import Struct

LENGTH_MAX = 300


class Edit(Struct):
    text: str = ""
    at: int = 0  # the cursor is before this character

    @classmethod
    def of(cls, text: str) -> Edit:
        return cls(text, len(text))

    def insert(self, text: str) -> None:
        text = "".join(c for c in text if c.isprintable())[: LENGTH_MAX - len(self.text)]
        self.text = self.text[: self.at] + text + self.text[self.at :]
        self.at += len(text)

    def press(self, key: str, character: str | None) -> bool:
        """Process one key; False if the editor does not use it."""
        if key == "backspace":
            if self.at:
                self.text = self.text[: self.at - 1] + self.text[self.at :]
                self.at -= 1
        elif key == "delete":
            self.text = self.text[: self.at] + self.text[self.at + 1 :]
        elif key == "left":
            self.at = max(0, self.at - 1)
        elif key == "right":
            self.at = min(len(self.text), self.at + 1)
        elif key in ("home", "ctrl+a"):
            self.at = 0
        elif key in ("end", "ctrl+e"):
            self.at = len(self.text)
        elif key == "ctrl+u":
            self.text, self.at = self.text[self.at :], 0
        elif key == "ctrl+k":
            self.text = self.text[: self.at]
        elif key == "ctrl+w":
            kept = self.text[: self.at].rstrip()
            kept = kept[: kept.rfind(" ") + 1]
            self.text, self.at = kept + self.text[self.at :], len(kept)
        elif character and character.isprintable():
            self.insert(character)
        else:
            return False
        return True
