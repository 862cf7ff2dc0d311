const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 46, right: 10 };
const ACTION = { top: 8, height: 74 };
const ERROR = { top: 92, height: 28 };
const TIME_AXIS = ERROR.top + ERROR.height;
const PANEL_HEIGHT = TIME_AXIS + 18;
const PADDING = 0.08;

function svg(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/** Round numbers from low to high, at least `least` of them (and rarely more than twice as many). */
function ticks(low, high, least) {
  const widest = (high - low) / least;
  const power = 10 ** Math.floor(Math.log10(widest));
  const step = power * [5, 2, 1].find((factor) => factor * power <= widest);
  const found = [];
  for (let place = Math.ceil(low / step); place * step <= high; place += 1) found.push(place * step);
  return { values: found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

/** A linear map from values to pixels, which may run downwards. */
function scaleOf(low, high, start, end) {
  const scale = (value) => start + ((value - low) / (high - low)) * (end - start);
  return Object.assign(scale, { low, high });
}

function path(times, values, x, y) {
  let d = "";
  for (let step = 0; step < values.length; step += 1) {
    d += `${step ? "L" : "M"}${x(times[step]).toFixed(1)} ${y(values[step]).toFixed(1)}`;
  }
  return values.length > 1 ? d : `${d}h0.01`; // a single point is drawn by its round cap
}

/** One joint of one episode: predicted and recorded action above, the error's size below, and a cursor. */
class JointCurves {
  /** series: {name, predicted, recorded, error} in the shown unit; errorTop: end of the error's axis. */
  constructor(host, series, episode, unit, errorTop) {
    Object.assign(this, { series, episode, unit, errorTop });
    this.figure = document.createElement("figure");
    const title = document.createElement("figcaption");
    title.textContent = series.name;
    this.figure.append(title);
    host.append(this.figure);
  }

  draw(width) {
    this.drawing?.remove();
    const worst = this.series.error.indexOf(Math.max(...this.series.error));
    const said =
      `${this.series.name}: predicted and recorded action over time. Largest error ` +
      `${this.series.error[worst].toPrecision(3)} ${this.unit} at ${this.episode.times[worst].toFixed(2)} s.`;
    const box = `0 0 ${width} ${PANEL_HEIGHT}`;
    this.drawing = svg("svg", { viewBox: box, role: "img", "aria-label": said }, this.figure);
    const { times } = this.episode;
    const period = 1 / this.episode.fps;
    this.x = scaleOf(times[0], times.at(-1) + period, MARGIN.left, width - MARGIN.right);
    this.drawTimeAxis(width);
    this.drawActions(width);
    this.drawError(width);
    this.cursor = svg("line", { class: "cursor", y1: ACTION.top, y2: TIME_AXIS }, this.drawing);
  }

  drawTimeAxis(width) {
    const { values, digits } = ticks(this.x.low, this.x.high, Math.max(2, width / 160));
    for (const value of values) {
      const x = this.x(value);
      svg("line", { class: "grid", x1: x, x2: x, y1: ACTION.top, y2: TIME_AXIS }, this.drawing);
      const end = x > width - 24;
      const place = { x: end ? width - 2 : x, y: TIME_AXIS + 13, "text-anchor": end ? "end" : "middle" };
      svg("text", place, this.drawing, `${value.toFixed(digits)} s`);
    }
  }

  drawValueAxis(y, band, width, { values, digits }) {
    for (const value of values) {
      const place = y(value);
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: place, y2: place }, this.drawing);
      const label = { x: MARGIN.left - 5, y: place + 3.5, "text-anchor": "end" };
      svg("text", label, this.drawing, value.toFixed(digits).replace("-", "−"));
    }
    const middle = band.top + band.height / 2;
    const turned = { transform: `translate(9 ${middle}) rotate(-90)`, "text-anchor": "middle" };
    svg("text", turned, this.drawing, this.unit);
  }

  drawActions(width) {
    const { predicted, recorded } = this.series;
    const low = Math.min(...predicted, ...recorded);
    const high = Math.max(...predicted, ...recorded);
    const room = PADDING * (high - low) || 1e-3;
    const y = scaleOf(low - room, high + room, ACTION.top + ACTION.height, ACTION.top);
    this.drawValueAxis(y, ACTION, width, ticks(y.low, y.high, 2));
    const { times } = this.episode;
    svg("path", { class: "recorded", d: path(times, recorded, this.x, y) }, this.drawing);
    svg("path", { class: "predicted", d: path(times, predicted, this.x, y) }, this.drawing);
    for (const step of this.episode.chunk_starts) {
      svg("circle", { class: "start", cx: this.x(times[step]), cy: y(predicted[step]), r: 2.6 }, this.drawing);
    }
  }

  drawError(width) {
    const y = scaleOf(0, this.errorTop, ERROR.top + ERROR.height, ERROR.top);
    this.drawValueAxis(y, ERROR, width, ticks(0, this.errorTop, 1));
    const { times } = this.episode;
    const outline = path(times, this.series.error, this.x, y);
    const closed = `${outline}L${this.x(times.at(-1))} ${y(0)}L${this.x(times[0])} ${y(0)}Z`;
    svg("path", { class: "error", d: closed }, this.drawing);
  }

  moveCursor(step) {
    const x = this.x(this.episode.times[step]);
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
  }

  /** The step nearest to a place on the screen. */
  stepAt(clientX) {
    const box = this.drawing.getBoundingClientRect();
    const inside = ((clientX - box.left) / box.width) * this.drawing.viewBox.baseVal.width;
    const share = (inside - MARGIN.left) / (this.x(this.x.high) - MARGIN.left);
    const time = this.x.low + share * (this.x.high - this.x.low);
    const { times } = this.episode;
    let nearest = times.findIndex((candidate) => candidate >= time);
    if (nearest < 0) nearest = times.length - 1;
    else if (nearest > 0 && time - times[nearest - 1] < times[nearest] - time) nearest -= 1;
    return nearest;
  }
}
