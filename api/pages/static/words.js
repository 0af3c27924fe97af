// What the numbers are called, in plain words.

/** A PSI and what it means: "0.31: shifted; normal is under 0.08". */
export function verdict(psi, threshold) {
  return `${psi.toFixed(2)}: ${state(psi, threshold)}; normal is under ${threshold.toFixed(2)}`;
}

export function state(psi, threshold) {
  if (psi <= threshold) return "normal";
  return psi <= 2 * threshold ? "shifted" : psi <= 4 * threshold ? "shifted far" : "another distribution";
}

/** How dark a PSI is in the heat map, 0 to 4. */
export function heat(psi, threshold) {
  const times = threshold > 0 ? psi / threshold : 0;
  return times <= 0.5 ? 0 : times <= 1 ? 1 : times <= 2 ? 2 : times <= 4 ? 3 : 4;
}

/** What an alarm says. */
export function alarmWords(alarm) {
  const [value, threshold] = [alarm.value, alarm.threshold];
  switch (alarm.detector) {
    case "psi": return `PSI ${value.toFixed(2)}; normal is under ${threshold.toFixed(2)}`;
    case "missing": return `missing in ${(100 * value).toFixed(1)} %; normal is under ${(100 * threshold).toFixed(1)} %`;
    case "range": return `out of range in ${(100 * value).toFixed(1)} %; normal is under ${(100 * threshold).toFixed(1)} %`;
    case "failure": return "drift monitoring has failed in part; the worker's log and the Stream page say why";
    default: return `mean ${value.toFixed(3)}; before ${alarm.mean_before.toFixed(3)}`;
  }
}
