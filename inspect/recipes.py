"""A recipe made ready: its rules, its bundle and the loaded network, changed as one between two parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import Field

from linegate.cameras.calibration import Calibration
from linegate.cameras.errors import SettingsError
from linegate.inspect.judge import Judge, check_fits, check_rules
from linegate.inspect.runtime.proven import open_proven
from linegate.inspect.runtime.session import InferenceSession
from linegate.inspect.settings import Frozen, RecipeSettings, RuntimeSettings
from linegate.models import manifest
from linegate.models.bundle import Bundle


class Thresholds(Frozen):
    """What a row keeps of how it was judged, so that the verdict can be repeated: all but the network itself."""

    bundle: manifest.Thresholds
    recipe: RecipeSettings
    runtime: RuntimeSettings
    device: str
    calibrations: dict[str, Calibration] = Field(default_factory=dict)
    """Of the cameras that have one, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class ActiveRecipe:
    """What judges a part. Immutable: a change of recipe or bundle makes a new one, and each part keeps its own."""

    recipe: RecipeSettings
    bundle: Bundle
    session: InferenceSession
    judge: Judge
    thresholds_json: str

    def class_number(self, defect_class: str) -> int:
        """The class as the PLC slot and the mask PNGs number it: 0 for none, else index + 1."""
        classes = self.bundle.manifest.classes
        return classes.index(defect_class) + 1 if defect_class in classes else 0

    def close(self) -> None:
        """Free the network, once no part uses it any more."""
        self.session.close()


class RecipeBook:
    """All recipes of the station; loads one with its bundle and network. Used by one thread at a time."""

    def __init__(
        self,
        recipes: tuple[RecipeSettings, ...],
        runtime: RuntimeSettings,
        resolve: Callable[[str], Bundle],
        calibrations: Mapping[str, Calibration] = MappingProxyType({}),
    ) -> None:
        self._recipes = {recipe.id: recipe for recipe in recipes}
        self._runtime = runtime
        self._resolve = resolve
        self._calibrations = dict(calibrations)

    def known(self, recipe_id: int) -> bool:
        """Whether the station has a recipe of this number."""
        return recipe_id in self._recipes

    def check_fits(self, bundle: Bundle) -> None:
        """Raises SettingsError where a recipe that takes the live bundle could not take this one."""
        check_fits(bundle, self._recipes.values())

    def ready(self, bundle: Bundle, preferred: int) -> ActiveRecipe | None:
        """``bundle`` loaded as the store's live one, before it is: under recipe ``preferred`` if that takes the live bundle,
        else under another that does; None where every recipe names a bundle of its own.

        Raises SettingsError, also where only another recipe doesn't fit it, or RuntimeFailed.
        """
        self.check_fits(bundle)
        numbers = [recipe.id for recipe in self._recipes.values() if not recipe.bundle]
        return self.load(preferred if preferred in numbers else numbers[0], bundle) if numbers else None

    def load(self, recipe_id: int, bundle: Bundle | None = None) -> ActiveRecipe:
        """The recipe with its network loaded and warm; ``bundle`` instead of the one it names. Raises SettingsError,
        BundleError or RuntimeFailed."""
        recipe = self._recipes.get(recipe_id)
        if recipe is None:
            raise SettingsError(
                f"recipe {recipe_id}",
                expected=f"one of the station's recipes {sorted(self._recipes)}",
                found="no such recipe",
                remedy="Add it to station.toml under [[recipes]], or ask for another.",
            )
        bundle = bundle or self._resolve(recipe.bundle)
        check_rules(bundle, recipe)
        session, runtime, _ = open_proven(bundle, self._runtime)
        then = Thresholds(
            bundle=bundle.manifest.thresholds,
            recipe=recipe,
            runtime=runtime,
            device=session.device,
            calibrations=self._calibrations,
        )
        text = json.dumps(then.model_dump(mode="json"), sort_keys=True)
        judge = Judge(bundle, session, recipe, calibrations=self._calibrations)
        return ActiveRecipe(recipe, bundle, session, judge, text)
