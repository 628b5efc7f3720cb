"use strict";
// Draws the heat map of the data in the page. The first part is pure; the second touches the page.

const MIDDLE = 128; // the level of a ratio of 1; 0 is "no number"
const LIGHT = { faster: [33, 94, 168], even: [247, 247, 245], slower: [179, 71, 10], none: [176, 182, 189], mark: "#000000" };
const DARK = { faster: [125, 180, 245], even: [34, 38, 43], slower: [255, 150, 70], none: [96, 102, 110], mark: "#ffffff" };

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function ratioOf(level, span) {
  return level === 0 ? NaN : Math.pow(span, (level - MIDDLE) / (MIDDLE - 1));
}

function ratioText(level, span) {
  return `${ratioOf(level, span).toFixed(2)}x${level === 255 ? " or more" : ""}`;
}

function paletteOf(colours) {
  const palette = [colours.none];
  for (let level = 1; level < 256; level += 1) {
    const end = level < MIDDLE ? colours.faster : colours.slower;
    const share = Math.min(1, Math.abs(level - MIDDLE) / (MIDDLE - 1));
    palette.push(colours.even.map((even, at) => Math.round(even + (end[at] - even) * share)));
  }
  return palette;
}

function paint(pixels, cells, palette) {
  for (let at = 0; at < cells.length; at += 1) {
    const colour = palette[cells[at]];
    pixels[4 * at] = colour[0];
    pixels[4 * at + 1] = colour[1];
    pixels[4 * at + 2] = colour[2];
    pixels[4 * at + 3] = 255;
  }
}

// The highest level of all cells that fall on a pixel, so that one slow rank of thousands is still seen.
function shrink(cells, columns, rows, width, height) {
  const result = new Uint8Array(width * height);
  for (let row = 0; row < rows; row += 1) {
    const y = Math.floor((row * height) / rows);
    for (let column = 0; column < columns; column += 1) {
      const at = y * width + Math.floor((column * width) / columns);
      result[at] = Math.max(result[at], cells[row * columns + column]);
    }
  }
  return result;
}

function rangeText(word, [first, last]) {
  return first === last ? `${word} ${first}` : `${word}s ${first} to ${last}`;
}

function cellText(data, cells, row, column) {
  const level = cells[row * data.columns + column];
  const [ranks, steps] = [data.ranks[row], data.steps[column]];
  const attempt = data.attempts.length ? `attempt ${data.attempts[column]}, ` : "";
  const where = `${rangeText("rank", ranks)}, ${attempt}${rangeText("step", steps)}`;
  const most = ranks[0] === ranks[1] && steps[0] === steps[1] ? "" : "at most ";
  const against = data.own ? "its own median" : "its stage peers";
  return level === 0 ? `${where}: not reported` : `${where}: ${most}${ratioText(level, data.span)} of ${against}`;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

function start() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const cells = bytesOf(data.cells);
  const canvas = document.getElementById("heat");
  const now = document.getElementById("heat-now");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const strips = data.marked.map((marked) => strip(data, marked));
  let cursor = null;
  let printing = false;

  function colours() {
    return dark.matches && !printing ? DARK : LIGHT;
  }

  function image(levels, width, height) {
    const source = document.createElement("canvas");
    source.width = width;
    source.height = height;
    const context = source.getContext("2d");
    const pixels = context.createImageData(width, height);
    paint(pixels.data, levels, paletteOf(colours()));
    context.putImageData(pixels, 0, 0);
    return source;
  }

  function draw() {
    const scale = Math.max(1, window.devicePixelRatio || 1);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
    const height = clamp(data.rows * 18, 72, printing ? 380 : 560); // a page has room for the heading above it
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    const [columns, rows] = [Math.min(data.columns, canvas.width), Math.min(data.rows, canvas.height)];
    context.imageSmoothingEnabled = false;
    context.drawImage(image(shrink(cells, data.columns, data.rows, columns, rows), columns, rows),
      0, 0, canvas.width, canvas.height);
    data.marked.forEach((marked) => mark(context, marked.row, scale));
    if (cursor) outline(context, scale);
    strips.forEach(({ target, levels }) => {
      target.width = Math.min(levels.length, Math.max(1, Math.round(target.clientWidth * scale)));
      target.height = 1;
      target.getContext("2d").drawImage(image(shrink(levels, levels.length, 1, target.width, 1), target.width, 1), 0, 0);
    });
    legend(scale);
  }

  function mark(context, row, scale) {
    const y = ((row + 0.5) / data.rows) * canvas.height;
    const size = 6 * scale;
    context.fillStyle = colours().mark;
    for (const [edge, inward] of [[0, 1], [canvas.width, -1]]) {
      context.beginPath();
      context.moveTo(edge, y - size);
      context.lineTo(edge + inward * size * 1.5, y);
      context.lineTo(edge, y + size);
      context.fill();
    }
  }

  function outline(context, scale) {
    const width = canvas.width / data.columns;
    const height = canvas.height / data.rows;
    const size = 5 * scale;
    context.strokeStyle = colours().mark;
    context.lineWidth = 2 * scale;
    context.strokeRect(cursor.column * width - size / 2, cursor.row * height - size / 2, width + size, height + size);
  }

  function legend(scale) {
    const target = document.getElementById("scale");
    target.width = Math.max(1, Math.round(target.clientWidth * scale));
    target.height = Math.round(34 * scale);
    const context = target.getContext("2d");
    const levels = Uint8Array.from({ length: 255 }, (_, at) => at + 1);
    context.drawImage(image(levels, 255, 1), 0, 0, target.width, 12 * scale);
    context.fillStyle = getComputedStyle(document.body).color;
    if (printing) context.fillStyle = "#000000";
    context.font = `${12 * scale}px system-ui, sans-serif`;
    context.textBaseline = "top";
    const texts = [[`${(1 / data.span).toFixed(2)}x`, 0, "left"], ["1.00x", target.width / 2, "center"],
      [`${data.span.toFixed(2)}x`, target.width, "right"]];
    for (const [text, x, align] of texts) {
      context.textAlign = align;
      context.fillText(text, x, 16 * scale);
    }
  }

  function strip(page, marked) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const target = document.createElement("canvas");
    const levels = bytesOf(marked.cells);
    const highest = levels.reduce((most, level) => Math.max(most, level), 0);
    caption.textContent = `rank ${marked.rank}, step by step; at most ${ratioText(highest, page.span)}`;
    target.setAttribute("role", "img");
    target.setAttribute("aria-label", caption.textContent);
    figure.append(caption, target);
    document.getElementById("marked").append(figure);
    return { target, levels };
  }

  function show(row, column) {
    cursor = { row: clamp(row, 0, data.rows - 1), column: clamp(column, 0, data.columns - 1) };
    now.textContent = cellText(data, cells, cursor.row, cursor.column);
    draw();
  }

  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    show(Math.floor(((event.clientY - box.top) / box.height) * data.rows),
      Math.floor(((event.clientX - box.left) / box.width) * data.columns));
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    show(cursor ? cursor.row + move[0] * far : 0, cursor ? cursor.column + move[1] * far : 0);
  });
  const redraw = (isPrinting) => () => { printing = isPrinting; draw(); };
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", redraw(true));
  window.addEventListener("afterprint", redraw(false));
  dark.addEventListener("change", draw);
  draw();
}

if (typeof document !== "undefined") start();
if (typeof module !== "undefined") module.exports = { bytesOf, ratioOf, ratioText, paletteOf, paint, shrink, rangeText, cellText };
