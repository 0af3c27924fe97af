// What the numbers are called, in plain words.

const FEATURES = {
  user_log_n: "how many films the user has rated",
  user_like_rate: "share of their ratings that are likes",
  user_like_rate10: "the same of their last 10",
  user_like_rate30: "the same of their last 30",
  genre_affinity: "how well they like the film's genres",
  genre_exposure: "how much they watch the film's genres",
  genre_affinity30: "how well they liked them in the last 30",
  genre_exposure30: "how much they watched them in the last 30",
  item_like_rate: "share of the film's ratings that are likes",
  item_log_n: "how often the film has been rated",
  item_year: "the film's year",
  decade_affinity: "how well they like the film's decade",
  decade_exposure: "how much they watch the film's decade",
  user_log_days: "how long they have been rating",
  label: "ratings above 3",
  next: "score for being watched next",
  like: "probability of a like",
  score: "score that the list is ordered by",
  logloss: "surprise at each rating",
};

/** What a series is, in plain words. */
export function meaning(series) {
  const [kind, genre] = series.split(":");
  if (kind === "genre") return `films of the genre ${genre}`;
  if (kind === "label" && genre) return `likes among ratings of ${genre}`;
  return FEATURES[series] ?? "";
}

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
    default: return `mean ${value.toFixed(3)}; before ${threshold.toFixed(3)}`;
  }
}
