const QUIET_MS = 600; // a screen reader hears where the cursor came to rest, not every step on the way
const MILLI_BELOW = 500_000; // microradians; smaller actions read better in milliradians

const data = JSON.parse(document.getElementById("explorer-data").textContent);
const byId = (id) => document.getElementById(id);
const numbers = Object.keys(data.episodes).map(Number).sort((a, b) => a - b);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const shown = { episode: null, step: 0, camera: data.cameras[0], panels: [], series: [], unit: "", dragged: null };
let announcing = 0;
let playing = 0;

function fill(select, entries) {
  for (const [value, text] of entries) select.add(new Option(text, value));
}

/** Each joint's values in the unit that suits the episode, and the error between them. */
function seriesOf(episode) {
  let largest = 0;
  for (const values of [...episode.predicted, ...episode.recorded]) {
    for (const value of values) largest = Math.max(largest, Math.abs(value));
  }
  const [unit, divisor, digits] = largest < MILLI_BELOW ? ["mrad", 1e3, 2] : ["rad", 1e6, 4];
  const series = data.joints.map((name, joint) => {
    const predicted = episode.predicted[joint].map((value) => value / divisor);
    const recorded = episode.recorded[joint].map((value) => value / divisor);
    return { name, predicted, recorded, error: predicted.map((value, step) => Math.abs(value - recorded[step])) };
  });
  return { series, unit, digits };
}

function chooseEpisode(number) {
  stop();
  const episode = { ...data.episodes[number], fps: data.fps };
  Object.assign(shown, { episode, step: 0, ...seriesOf(episode) });
  byId("episode").value = number;
  byId("previous").disabled = number === numbers[0];
  byId("next").disabled = number === numbers.at(-1);
  byId("time").max = episode.times.length - 1;
  const errorTop = Math.max(...shown.series.map(({ error }) => Math.max(...error))) || 1e-3;
  byId("curves").replaceChildren();
  shown.panels = shown.series.map((series) => {
    return new JointCurves(byId("curves"), series, episode, shown.unit, errorTop);
  });
  drawCurves();
  byId("values").caption.textContent = `Actions at this moment, ${data.mode}, ${shown.unit}`;
  showStep(0);
}

function drawCurves() {
  const width = Math.round(shown.panels[0].figure.clientWidth);
  if (!width) return;
  for (const panel of shown.panels) {
    panel.draw(width);
    panel.moveCursor(shown.step);
  }
}

function momentText() {
  const { episode, step } = shown;
  return `${episode.times[step].toFixed(2)} s, step ${step + 1} of ${episode.times.length}`;
}

function showStep(step) {
  shown.step = step;
  const { episode, panels } = shown;
  const time = byId("time");
  time.value = step;
  time.setAttribute("aria-valuetext", momentText());
  byId("moment").textContent = `Episode ${episode.episode}, ${momentText()}`;
  for (const panel of panels) panel.moveCursor(step);
  showValues();
  showFrame();
  announce();
}

function showValues() {
  const { series, step, digits } = shown;
  const largest = Math.max(...series.map(({ error }) => error[step]));
  const rows = series.map(({ name, predicted, recorded, error }) => {
    const row = document.createElement("tr");
    row.className = error[step] === largest && largest > 0 && series.length > 1 ? "largest" : "";
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    for (const values of [predicted, recorded, error]) {
      row.insertCell().textContent = values[step].toFixed(digits).replace("-", "−");
    }
    return row;
  });
  byId("values").tBodies[0].replaceChildren(...rows);
}

function showFrame() {
  if (!data.cameras.length) return;
  const { episode, step, camera } = shown;
  const place = Math.floor(step / data.every);
  const source = place * data.every;
  const text = `frame ${episode.frame_numbers[source]}, ${episode.times[source].toFixed(2)} s`;
  byId("frame").src = `data:image/jpeg;base64,${episode.frames[camera][place]}`;
  byId("frame").alt = `Camera ${shortName(camera)}, ${text} of episode ${episode.episode}`;
  byId("frame-caption").textContent = `${shortName(camera)}, ${text}`;
}

function shortName(camera) {
  return camera.replace(/^observation\.images\./, "");
}

function announce() {
  clearTimeout(announcing);
  if (playing) return;
  announcing = setTimeout(() => {
    const { series, step, digits, unit } = shown;
    const worst = series.reduce((a, b) => (b.error[step] > a.error[step] ? b : a));
    const error = `${worst.error[step].toFixed(digits)} ${unit}`;
    byId("announcement").textContent = `${momentText()}: largest error ${error}, ${worst.name}`;
  }, QUIET_MS);
}

/** At the recording's own speed; where less motion is preferred, a still once a second. */
function play() {
  const last = shown.episode.times.length - 1;
  if (shown.step === last) showStep(0);
  const begun = performance.now();
  const from = shown.step;
  const steps = calm.matches ? Math.max(1, Math.round(data.fps)) : 1;
  const advance = (now) => {
    const elapsed = Math.floor((Math.max(0, now - begun) / 1000) * data.fps);
    const step = Math.min(last, from + Math.floor(elapsed / steps) * steps);
    if (step !== shown.step) showStep(step);
    if (step === last || (calm.matches && step + steps > last)) stop();
    else playing = requestAnimationFrame(advance);
  };
  playing = requestAnimationFrame(advance);
  byId("play").textContent = "Pause";
}

function stop() {
  if (!playing) return;
  cancelAnimationFrame(playing);
  playing = 0;
  byId("play").textContent = "Play";
  announce();
}

function neighbour(offset) {
  chooseEpisode(numbers[numbers.indexOf(shown.episode.episode) + offset]);
}

function followLink() {
  const number = Number(/^#episode-(\d+)$/.exec(location.hash)?.[1] ?? NaN);
  if (!(number in data.episodes)) return false;
  chooseEpisode(number);
  byId("explorer").scrollIntoView();
  byId("explorer-heading").focus({ preventScroll: true });
  return true;
}

function dragOnCurves(event) {
  if (!shown.dragged) return;
  stop();
  showStep(shown.dragged.stepAt(event.clientX));
}

function listen() {
  byId("episode").addEventListener("change", (event) => chooseEpisode(Number(event.target.value)));
  byId("previous").addEventListener("click", () => neighbour(-1));
  byId("next").addEventListener("click", () => neighbour(+1));
  byId("play").addEventListener("click", () => (playing ? stop() : play()));
  byId("camera").addEventListener("change", (event) => {
    shown.camera = event.target.value;
    showFrame();
  });
  byId("time").addEventListener("input", (event) => {
    stop();
    showStep(Number(event.target.value));
  });
  const curves = byId("curves");
  curves.addEventListener("pointerdown", (event) => {
    shown.dragged = shown.panels.find(({ drawing }) => drawing === event.target.closest("svg"));
    if (shown.dragged) curves.setPointerCapture(event.pointerId);
    dragOnCurves(event);
  });
  curves.addEventListener("pointermove", dragOnCurves);
  curves.addEventListener("lostpointercapture", () => {
    shown.dragged = null;
  });
  new ResizeObserver(drawCurves).observe(curves);
  addEventListener("hashchange", followLink);
}

byId("explorer-body").hidden = false;
byId("no-script").hidden = true;
byId("camera-figure").hidden = data.cameras.length === 0;
byId("camera-choice").hidden = data.cameras.length < 2;
fill(byId("camera"), data.cameras.map((camera) => [camera, shortName(camera)]));
fill(
  byId("episode"),
  numbers.map((number) => [number, `${number} · MAE ${(1000 * data.episodes[number].mae).toPrecision(3)} mrad`]),
);
listen();
if (!followLink()) chooseEpisode(data.first);
