"""A headless Chromium, driven through its DevTools protocol over a pair of pipes (--remote-debugging-pipe: messages are JSON
that ends with NUL). What the page logs, throws and asks for is kept, so that a test can say that there was none."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

KEYS = {'Enter': ('Enter', 13, '\r'), 'Escape': ('Escape', 27, ''), 'Backspace': ('Backspace', 8, ''), 'Home': ('Home', 36, ''), 'Tab': ('Tab', 9, ''),
        'ArrowLeft': ('ArrowLeft', 37, ''), 'ArrowUp': ('ArrowUp', 38, ''), 'ArrowRight': ('ArrowRight', 39, ''), 'ArrowDown': ('ArrowDown', 40, ''),
        ' ': ('Space', 32, ' ')}


def find_chromium():
    for name in 'chromium', 'chromium-browser', 'google-chrome':
        if shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    def __init__(self, width=1200, height=900):
        self.profile = tempfile.mkdtemp(prefix='tidemark-browser-')
        to_browser, our_end = os.pipe()
        self.input, from_browser = os.pipe()
        self.output = our_end
        # 3 and 4 are where the browser expects its ends.
        ends = [fcntl.fcntl(to_browser, fcntl.F_DUPFD, 10), fcntl.fcntl(from_browser, fcntl.F_DUPFD, 10)]
        self.process = subprocess.Popen(
            [find_chromium(), '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
             '--disable-extensions', '--disable-background-networking', '--disable-component-update', '--disable-sync',
             f'--user-data-dir={self.profile}', f'--window-size={width},{height}', '--remote-debugging-pipe', 'about:blank'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(3, 4),
            preexec_fn=lambda: (os.dup2(ends[0], 3), os.dup2(ends[1], 4)), start_new_session=True,
            env=dict(os.environ, HOME=self.profile))
        for end in [to_browser, from_browser, *ends]:
            os.close(end)
        self.buffer = b''
        self.number = 0
        self.session = None
        self.requests, self.errors, self.loaded = [], [], False
        target = next(one for one in self.call('Target.getTargets')['targetInfos'] if one['type'] == 'page')
        self.session = self.call('Target.attachToTarget', targetId=target['targetId'], flatten=True)['sessionId']
        for domain in 'Page', 'Runtime', 'Network', 'Log':
            self.call(domain + '.enable')
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=False)

    def close(self):
        try:
            self.session = None
            self.call('Browser.close')
            self.process.wait(10)
        except (OSError, EOFError, subprocess.TimeoutExpired, TimeoutError):
            self.process.kill()
            self.process.wait()
        os.close(self.input)
        os.close(self.output)
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, until):
        """The next message."""
        while b'\0' not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.input], [], [], left)[0]:
                raise TimeoutError('the browser does not answer')
            data = os.read(self.input, 1 << 16)
            if not data:
                raise EOFError('the browser ended')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        message = json.loads(message)
        self.note(message)
        return message

    def note(self, message):
        method, values = message.get('method'), message.get('params', {})
        if method == 'Network.requestWillBeSent':
            self.requests.append(values['request']['url'])
        elif method == 'Runtime.exceptionThrown':
            self.errors.append(values['exceptionDetails'].get('exception', {}).get('description', str(values)))
        elif method == 'Runtime.consoleAPICalled':
            self.errors.append(f"console.{values['type']}: {values['args']}")
        elif method == 'Log.entryAdded':
            self.errors.append(f"{values['entry']['source']}: {values['entry']['text']}")
        elif method == 'Page.loadEventFired':
            self.loaded = True

    def call(self, method, timeout=60, **values):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': values}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.output, json.dumps(message).encode() + b'\0')
        until = time.monotonic() + timeout
        while True:
            answer = self.read(until)
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer['result']

    def open(self, path):
        """Loads a file; the seconds until it is drawn."""
        self.requests, self.errors, self.loaded = [], [], False
        start = time.monotonic()
        self.call('Page.navigate', url='file://' + os.path.abspath(path))
        while not self.loaded:
            self.read(start + 60)
        self.settle()
        return time.monotonic() - start

    def settle(self):
        """Until what was asked for is drawn: two frames later."""
        self.run('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))')

    def run(self, expression):
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(answer['exceptionDetails'].get('exception', {}).get('description', answer['exceptionDetails']['text']))
        return answer['result'].get('value')

    def query(self, selector, then='node.textContent'):
        return self.run(f'[...document.querySelectorAll({json.dumps(selector)})].map((node) => {then})')

    def point(self, selector, dx=0.5, dy=0.5):
        """A place in an element, as parts of its width and height, on the screen."""
        spot = self.run(f'(() => {{ const node = document.querySelector({json.dumps(selector)}); node.scrollIntoView({{block: "center"}}); '
                        f'const box = node.getBoundingClientRect(); return [box.left + box.width * {dx}, box.top + box.height * {dy}]; }})()')
        return dict(x=spot[0], y=spot[1])

    def move(self, selector, dx=0.5, dy=0.5):
        self.call('Input.dispatchMouseEvent', type='mouseMoved', **self.point(selector, dx, dy))
        self.settle()

    def click(self, selector, dx=0.5, dy=0.5):
        spot = self.point(selector, dx, dy)
        self.call('Input.dispatchMouseEvent', type='mouseMoved', **spot)
        for kind in 'mousePressed', 'mouseReleased':
            self.call('Input.dispatchMouseEvent', type=kind, button='left', clickCount=1, **spot)
        self.settle()

    def key(self, *keys):
        for key in keys:
            code, number, text = KEYS[key]
            values = dict(key=key, code=code, windowsVirtualKeyCode=number)
            self.call('Input.dispatchKeyEvent', type='keyDown' if text else 'rawKeyDown', **values, **({'text': text} if text else {}))
            self.call('Input.dispatchKeyEvent', type='keyUp', **values)
        self.settle()

    def type(self, text):
        self.call('Input.insertText', text=text)
        self.settle()

    def dark(self, on=True):
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': 'dark' if on else 'light'}])
        self.settle()

    def picture(self, path, whole=True, top=0, height=None):
        clip = {}
        if whole:
            size = self.call('Page.getLayoutMetrics')['cssContentSize']
            clip = dict(captureBeyondViewport=True, clip=dict(x=0, y=top, width=size['width'], height=height or size['height'] - top, scale=1))
        with open(path, 'wb') as out:
            out.write(base64.b64decode(self.call('Page.captureScreenshot', **clip)['data']))

    def print(self, path):
        with open(path, 'wb') as out:
            out.write(base64.b64decode(self.call('Page.printToPDF', preferCSSPageSize=False)['data']))
